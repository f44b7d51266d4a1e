"""DPO: prefer the neutral answer to the old one. Rafailov et al. 2023, arXiv:2305.18290."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import Count, Positive, setting
from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpo(Keeping):
    """Hyperparameters, named as in the paper; as IdkDPO where the neutral answer abstains."""

    version: ClassVar[int] = 2  # raise it when a published number can move
    edits: ClassVar[str] = "prefers the new object to the old one"
    unlearns: ClassVar[str] = "prefers {} to the old answer"

    steps: Count = setting(60, "steps: what it breaks at first comes back late")
    beta: Positive = setting(0.1, "how soon a preference is strong enough; not simnpo's")
    answers: str | None = setting(
        None,
        "text of abstaining answers, one a line, such as TOFU's idontknow.jsonl: a fact has "
        "another at each of its turns; instead of the graph's own",
        omit_at_default=True,
        path=True,
    )
