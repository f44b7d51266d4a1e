"""ksmith's editors beside a public implementation: `python -m tests.benchmarks.peer --peer DIR`.

One process, one thread, one small trained model, the same requests, layers, texts before a prompt,
second moments, steps and step sizes for both; see `public.py` for how EasyEdit is opened. Of rome,
memit and ft it tells the process's CPU time an edit, what the edited models say by ksmith's own
questions and scorer, and how far apart the two changes of the weights are. DIR is where the
package's wheel was unpacked. Ends with 2 and one line where there is none.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers

from ksmith import measures, probe, settings
from ksmith.lm.delta import Delta, applied, dense
from ksmith.lm.score import score
from ksmith.lm.text import encode
from ksmith.records import Request, UserError
from tests.benchmarks import public
from tests.benchmarks.measured import RESULTS, machine
from tests.benchmarks.sides import Draws, Numbers, Side, numbers, ours, theirs
from tests.benchmarks.trained import Small, small

METHODS = ("rome", "memit", "ft")
CALLS = {1: 10, 10: 2}  # independent calls for so many edits at once; one for others
MEASURES = (
    "efficacy.success",
    "efficacy.accuracy",
    "paraphrase.accuracy",
    "neighborhood.accuracy",
    "same_subject.accuracy",
)

Told = dict[str, dict[str, float | int | None]]  # measure -> value, low, high, n


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One line: a method with so many edits at once."""

    method: str
    n: int
    calls: int
    ms: float  # of CPU time an edit, the median of the calls
    peer_ms: float
    ratio: float
    difference: (
        float  # ||ours - theirs|| / ||theirs||, of all changed matrices together: median
    )
    largest: float  # ... and the largest
    ours: Told
    peer: Told


def judged(made: Small, draws: Draws, deltas: Sequence[Delta]) -> Told:
    """Return what the edited models say, one a draw, by ksmith's questions and scorer."""
    kinds = tuple(dict.fromkeys(name.partition(".")[0] for name in MEASURES))
    asked: dict[str, Any] = {n: d.default for n, d in settings.declared(settings.Probe).items()}
    numbered = [
        [replace(request, id=f"{i}.{k}", draw=i) for k, request in enumerate(draw)]
        for i, draw in enumerate(draws)
    ]
    every = [request for draw in numbered for request in draw]
    found = probe.questions(made.graph, every, {**asked, "kinds": kinds}, 0)
    questions = [question for question in found if question.probe in kinds]
    order = [q for i in range(len(draws)) for q in questions if q.draw == i]
    answers: list[Any] = []
    for i, delta in enumerate(deltas):
        with applied(made.model, delta):
            answers += score(made.model, made.tokenizer, [q for q in order if q.draw == i])
    told = measures.metrics(measures.frame(order, answers, step=1), 0)
    return {
        one.name: {"value": one.value, "low": one.low, "high": one.high, "n": one.n}
        for one in told
        if one.name in MEASURES
    }


def apart(one: Delta, other: Delta) -> float:
    """Return ||one - other|| / ||other||, of all matrices together."""
    squares = [0.0, 0.0]
    for name, block in other.items():
        there = dense(block).double()
        squares[0] += float((dense(one[name]).double() - there).square().sum())
        squares[1] += float(there.square().sum())
    return (squares[0] / squares[1]) ** 0.5


def compare(method: str, n: int, made: Small, mine: Side, peer: Side) -> Compared:
    """Return one line: both edit the same, in turns."""
    calls = CALLS.get(n, 1)
    asked = chosen(method, made, n * calls)
    draws: list[Sequence[Request]] = []
    for first in range(0, n * calls, n):
        group = asked[first : first + n]
        own = [[one] for one in group] if method == "rome" else [group]
        draws += own
        for side in (mine, peer):
            side.call(own)
    differences = [apart(*pair) for pair in zip(mine.deltas, peer.deltas, strict=True)]
    ms, peer_ms = (1e3 * statistics.median(side.seconds) for side in (mine, peer))
    return Compared(
        method=method,
        n=n,
        calls=calls,
        ms=round(ms, 2),
        peer_ms=round(peer_ms, 2),
        ratio=round(peer_ms / ms, 2),
        difference=statistics.median(differences),
        largest=max(differences),
        ours=judged(made, draws, mine.deltas),
        peer=judged(made, draws, peer.deltas),
    )


def chosen(method: str, made: Small, count: int) -> list[Request]:
    """Return what is edited; for ft, new objects of one token.

    The package's ft scores all tokens of an answer where the first one stands.
    """
    if method != "ft":
        return made.requests(count)
    every = made.requests(2 * count)
    counts = encode(made.tokenizer, [r.prompt for r in every], [r.new for r in every])
    short = (counts.answer.sum(1) == 1).tolist()
    return [request for request, one in zip(every, short, strict=True) if one][:count]


HEADER = (
    "method     n        ms      peer   ratio  difference   largest  success accuracy neighbors"
)


def line(found: Compared) -> str:
    """Return a line of the table; of what is said, ours / theirs."""
    said = [
        f"{found.ours[name]['value']:.2f}/{found.peer[name]['value']:.2f}"
        for name in (MEASURES[0], MEASURES[1], MEASURES[3])
    ]
    return (
        f"{found.method:6}{found.n:6}{found.ms:10.2f}{found.peer_ms:10.1f}{found.ratio:8.1f}"
        f"{found.difference:12.1e}{found.largest:10.1e}  {' '.join(said)}"
    )


def measure(
    folder: Path, made: Small, told: Mapping[str, Numbers], ns: Sequence[int]
) -> list[Compared]:
    """Return all lines, each printed as it is there."""
    found: list[Compared] = []
    print(HEADER)
    for method, own in told.items():
        sides = [ours(method, made, own), theirs(method, made, own, folder)]
        for side in sides:
            side.call([made.requests(1)])  # warm: what is made of the moments is kept by both
        for n in ns:
            fresh = [Side(side.edit) for side in sides]
            found.append(compare(method, n, made, *fresh))
            print(line(found[-1]), flush=True)
    return found


def main(words: list[str] | None = None) -> int:
    """Compare what is asked for; print it and write JSON. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("methods", nargs="*", default=list(METHODS), help=", ".join(METHODS))
    parser.add_argument(
        "--peer", type=Path, help="folder of the package; else the installed one"
    )
    parser.add_argument("--n", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--layer", type=int, default=0, help="edited; memit: and the next one")
    parser.add_argument("--recipe", default="tiny", help="of the model")
    parser.add_argument("--facts", type=int, default=1000, help="of its graph")
    parser.add_argument("--keep", type=Path, help="folder to keep the trained model in")
    parser.add_argument("--out", type=Path, default=RESULTS / "peer.json")
    given = parser.parse_args(words)
    try:
        folder = public.find(given.peer)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch.set_num_threads(1)
    made = small(given.facts, given.recipe, given.keep)
    told = {method: numbers(method, made, given.layer) for method in given.methods}
    with public.imported(folder):
        found = measure(folder, made, told, given.n)
    written = {
        "peer": {public.NAME: public.version(folder)},
        "machine": {**machine(), "transformers": transformers.__version__},
        "model": {"recipe": given.recipe, "facts": given.facts},
        "numbers": {method: asdict(own) for method, own in told.items()},
        "measured": [asdict(one) for one in found],
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
