"""Questions with known right answers, before the update and after it. No model is known here.

A probe is a function of the context and one part of a draw; `PROBES` names them all,
`settings/probe.py` says what each is for. `questions` asks all that the settings name, and then,
for every fact that one of them scores, whether it was known before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from ksmith.graph import KnowledgeGraph
from ksmith.probe.asking import Asking
from ksmith.probe.attribute import attribute
from ksmith.probe.comparison import comparison
from ksmith.probe.conflict import conflict
from ksmith.probe.contextual import contextual
from ksmith.probe.direct import direct
from ksmith.probe.draw import FARTHEST, Draw, Part
from ksmith.probe.efficacy import efficacy
from ksmith.probe.fluency import fluency
from ksmith.probe.known import Marks
from ksmith.probe.letters import lettered, turned
from ksmith.probe.multi_hop import multi_hop
from ksmith.probe.neighborhood import neighborhood
from ksmith.probe.options import Layout, permutation_seed
from ksmith.probe.paraphrase import paraphrase
from ksmith.probe.reverse import reverse
from ksmith.probe.same_subject import same_subject
from ksmith.probe.utility import utility
from ksmith.records import Json, Question, Request, UserError

__all__ = ["PROBES", "lettered", "permutation_seed", "questions", "turned"]

PROBES: dict[str, Callable[[Asking, Part], Iterator[Question]]] = {
    "efficacy": efficacy,
    "paraphrase": paraphrase,
    "neighborhood": neighborhood,
    "same_subject": same_subject,
    "direct": direct,
    "reverse": reverse,
    "multi_hop": multi_hop,
    "comparison": comparison,
    "conflict": conflict,
    "contextual": contextual,
    "utility": utility,
    "attribute": attribute,
    "fluency": fluency,
}
PART = 256  # requests that are asked about at once


def questions(
    graph: KnowledgeGraph,
    requests: Sequence[Request],
    settings: Mapping[str, Json],
    seed: int,
    part: int = PART,
) -> list[Question]:
    """Return all questions of a trial: draw by draw, probe by probe, then those of "known".

    A draw of more requests than a part has is gone through in parts. The questions depend on the
    graph, the requests, the settings and the seed, and on no method.

    Args:
        graph: before the change.
        requests: of all draws.
        settings: `kinds` and how many to ask of each, as in `settings/probe.py`.
        seed: of every sample that is drawn here.
        part: requests that are asked about at once; the order of options depends on it.

    Raises:
        UserError: `settings` names an unknown probe.
    """
    asking, ordered = opened(graph, requests, settings, seed)
    marks = Marks(asking)
    found: list[Question] = []
    for ask in divided(asking, ordered, part):
        for question in ask():
            marks.add(question)
            found.append(question)
    return [*found, *marks.questions(ordered)]


def opened(
    graph: KnowledgeGraph, requests: Sequence[Request], settings: Mapping[str, Json], seed: int
) -> tuple[Asking, list[Request]]:
    """Return the context of all questions, and the requests draw by draw.

    Raises:
        UserError: as `questions`.
    """
    strange = [name for name in settings["kinds"] if name not in PROBES]
    if strange:
        raise UserError(f"no probe {strange[0]!r}; there are {', '.join(PROBES)}")
    ordered = sorted(requests, key=lambda request: request.draw)
    return Asking.of(graph, ordered, settings, seed), ordered


def divided(
    asking: Asking, ordered: Sequence[Request], size: int = PART
) -> Iterator[Callable[[], Iterator[Question]]]:
    """Yield, for every `size` requests in a row, what asks about them.

    Each can be asked without those before it, in another process too: nothing but samples that
    are drawn once for all is shared, and these depend on the seed alone.
    """
    draws: dict[int, list[Request]] = {}
    for request in ordered:
        draws.setdefault(request.draw, []).append(request)
    limit = max(FARTHEST, int(asking.settings["distance"]) + 1)
    last: Draw | None = None
    for start in range(0, len(ordered), size):
        parts: list[Part] = []
        piece = ordered[start : start + size]
        for number, group in groupby(piece, key=lambda request: request.draw):
            of_part = tuple(group)
            if last is None or last.number != number:  # a draw goes on in the next part
                every = tuple(draws[number])
                last = Draw(graph=asking.graph, number=number, requests=every, limit=limit)
            first = of_part[0].id == last.requests[0].id
            parts.append(Part(draw=last, requests=of_part, first=first))
        own = replace(asking, layout=Layout(asking.seed, start // size))
        yield _asker(own, parts)


def _asker(asking: Asking, parts: Sequence[Part]) -> Callable[[], Iterator[Question]]:
    def ask() -> Iterator[Question]:
        for part in parts:
            for name, probe in PROBES.items():
                if name in asking.settings["kinds"]:
                    yield from probe(asking, part)

    return ask
