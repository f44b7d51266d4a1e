"""ReLearn: learn vague answers in the place of old ones, in several wordings.

Xu et al., "ReLearn: Unlearning via Learning for Large Language Models", ACL 2025,
arXiv:2502.11190: NLL(vague answers) + NLL(retain) + KL(before || now) on the retain set.

Departs: questions are other wordings of the graph and vague answers are the request's targets,
where the paper has a language model make both (`answers` takes a file of such, with its four
kinds of variants); each question goes with its own answer, and the original question with its
original answer is not in the data; answers are completed from their beginnings only where that is
asked for (`completions`), and no general questions are mixed in.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, forget, learnt
from ksmith.lm.move import Call
from ksmith.lm.said import nll
from ksmith.records import Request, Statement
from ksmith.settings.relearn import ReLearn


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: ReLearn,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which answers its questions anew and keeps its `retain`.

    Requests of kind "edit" are answered with their new objects. `model` is left as it was.

    Raises:
        UserError: nothing was made for a request, and it has no target but its old answer.
    """

    def learning(parts: Mapping[str, Part]) -> Tensor:
        return nll(parts["instead"].logp, parts["instead"].tokens)

    def objective(draw: Sequence[Request], _kept: Sequence[Statement]) -> Objective:
        questions = [learnt(request, assets) for request in draw]
        log = {"questions": sum(map(len, questions))}
        return Objective(loss=learning, sets=("instead",), instead=questions, log=log)

    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, objective)
