"""Questions with known right answers, before the update and after it. No model is known here.

A probe is a function of the context and one draw; `PROBES` names them all, `settings/probe.py`
says what each is for. `questions` asks all that the settings name, and then, for every fact
that one of them scores, whether it was known before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from ksmith.graph import KnowledgeGraph, entail
from ksmith.probe.asking import Asking, Draw
from ksmith.probe.efficacy import efficacy
from ksmith.probe.known import known
from ksmith.probe.multi_hop import multi_hop
from ksmith.probe.neighborhood import neighborhood
from ksmith.probe.paraphrase import paraphrase
from ksmith.probe.reverse import reverse
from ksmith.probe.same_subject import same_subject
from ksmith.probe.utility import utility
from ksmith.records import Json, Question, Request, UserError

__all__ = ["PROBES", "questions"]

PROBES: dict[str, Callable[[Asking, Draw], Iterator[Question]]] = {
    "efficacy": efficacy,
    "paraphrase": paraphrase,
    "neighborhood": neighborhood,
    "same_subject": same_subject,
    "reverse": reverse,
    "multi_hop": multi_hop,
    "utility": utility,
}


def questions(
    graph: KnowledgeGraph, requests: Sequence[Request], settings: Mapping[str, Json], seed: int
) -> list[Question]:
    """Return all questions of a trial: draw by draw, probe by probe, then those of "known".

    They depend on the graph, the requests, the settings and the seed, and on no method.

    Args:
        graph: before the change.
        requests: of all draws.
        settings: `kinds` and how many to ask of each, as in `settings/probe.py`.
        seed: of every sample that is drawn here.

    Raises:
        UserError: `settings` names an unknown probe.
    """
    strange = [name for name in settings["kinds"] if name not in PROBES]
    if strange:
        raise UserError(f"no probe {strange[0]!r}; there are {', '.join(PROBES)}")
    ordered = sorted(requests, key=lambda request: request.draw)
    asking = Asking.of(graph, ordered, settings, seed)
    scored: list[Question] = []
    for number, group in groupby(ordered, key=lambda request: request.draw):
        of_draw = tuple(group)
        draw = Draw(number=number, requests=of_draw, change=entail(graph, of_draw))
        for name, probe in PROBES.items():
            if name in settings["kinds"]:
                scored += probe(asking, draw)
    return [*scored, *known(asking, ordered, scored)]
