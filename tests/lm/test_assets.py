"""What is made of second moments is made once, and for those moments alone."""

from dataclasses import replace

import torch

from ksmith.lm.assets import Assets
from tests.lm.models import tokenizer

CPU = torch.device("cpu")


def test_a_copy_with_other_moments_has_factors_of_its_own() -> None:
    eye = torch.eye(3, dtype=torch.float64)
    one = Assets(tokenizer=tokenizer(), seed=0, moments={0: eye})
    first = one.factor(0, 0.0, CPU)
    assert one.factor(0, 0.0, CPU) is first, "made once"
    other = replace(one, moments={0: 4 * eye})
    assert torch.equal(other.factor(0, 0.0, CPU), 2 * eye)
    assert replace(one, seed=1).factor(0, 0.0, CPU) is first, "of the same moments"
