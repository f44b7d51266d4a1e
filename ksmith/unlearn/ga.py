"""GA: climb the loss of the old answers, whatever becomes of the rest.

Jang et al., "Knowledge Unlearning for Mitigating Privacy Risks in Language Models", ACL 2023,
arXiv:2210.01504: L = -NLL(forget). The baseline that shows what the other terms are for.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, forget
from ksmith.lm.move import Call
from ksmith.lm.said import nll
from ksmith.records import Request, Statement
from ksmith.settings.ga import Ga


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: Ga,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which forgets its old answers.

    Requests of kind "edit" are taught their new answers, too. `model` is left as it was.
    """

    def forgetting(parts: Mapping[str, Part]) -> Tensor:
        return -nll(parts["forget"].logp, parts["forget"].tokens)

    objective = Objective(loss=forgetting, new=hp.forget_weight)
    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, lambda _draw, _kept: objective)
