"""One pass for all metrics beside a pass for each: `python -m tests.benchmarks.onepass`.

Process CPU time on one thread. The plain way is that of public code (open-unlearning, as its
files say): a metric tokenises its set again, runs it through the model in batches of 32 as they
come, padded on the right, and takes the log-softmax of all logits, prompts' and padding's too.
Of one set nine passes give eight metrics of tokens (probability, exact memorisation, extraction
strength, attacks by loss, reference, zlib, min-k and, with two, min-k++). With wrong answers the
truth ratio comes to it: a pass for each of the five, and one for the answer in other words, where
a set has it. Both of its definitions are metrics of their own there, but take these passes from
what is kept of earlier metrics, so they count once. Nor do these count, which both ways have to
do: the reference model's own pass, written text, gradients.

Both ways are of the same model and set in one process, in turns; their numbers must agree.
Prints JSON.
"""

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ksmith.lm.prefill import Asked, look
from ksmith.lm.text import Batch, encode
from ksmith.measures import recalled
from tests.benchmarks import world
from tests.benchmarks.counted import counted

WRONG, BATCH = 5, 32
TOFU = (15, 40)  # words of an answer, from and to
CHANGED = 3  # words of them that a wrong answer has otherwise
Rows = list[tuple[str, str]]
Numbers = dict[str, float]


@dataclass(frozen=True, slots=True)
class Set:
    """Prompts with their answers, and what a truth ratio weighs these against."""

    rows: Rows
    reworded: list[str]  # the answers in other words; none where the answers are weighed
    wrong: list[list[str]]

    def bare(self) -> "Set":
        """Return the same without what a truth ratio asks for."""
        return Set(self.rows, [], [])

    def passes(self) -> list[tuple[int, Rows]]:
        """Return the rows that the plain way runs, and how often."""
        prompts = [prompt for prompt, _ in self.rows]
        beside = [
            list(zip(prompts, ends, strict=True)) for ends in zip(*self.wrong, strict=True)
        ]
        if self.reworded:
            beside.append(list(zip(prompts, self.reworded, strict=True)))
        return [(sum(PASSES.values()), self.rows), *((1, rows) for rows in beside)]


def short(n: int, words: int = 3) -> Set:
    """Return answers of one word up to `words`; wrong ones share no word with them."""
    rows = [(r.prompt, _words(i, 0, words)) for i, r in enumerate(world.requests(n))]
    wrong = [[_words(i, j, words) for j in range(1, WRONG + 1)] for i in range(n)]
    return Set(rows, [], wrong)


def alike(n: int) -> Set:
    """Return answers as long as TOFU's, of sentences of 15 to 40 words.

    Wrong answers are the one in other words but for three words anywhere in it, as those of TOFU
    are the sentence of its paraphrased answer with other facts in it.
    """
    rows: Rows = []
    reworded: list[str] = []
    wrong: list[list[str]] = []
    for i, request in enumerate(world.requests(n)):
        chance = random.Random(i)
        size = chance.randint(*TOFU)
        answer, other = chance.choices(world.WORDS, k=size), chance.choices(world.WORDS, k=size)
        rows.append((request.prompt, " ".join(answer)))
        reworded.append(" ".join(other))
        wrong.append([_changed(other, chance) for _ in range(WRONG)])
    return Set(rows, reworded, wrong)


CASES: dict[str, Callable[[int], Set]] = {
    "short": short,  # 1 to 3 words
    "long": lambda n: short(n, 20),  # 1 to 20 words that share nothing
    "alike": alike,  # 15 to 40 words, wrong answers that differ in three
}


def _words(row: int, turn: int, words: int) -> str:
    """Return an answer of one word, or of more, up to `words`: as many of each length."""
    own = [
        world.THINGS[(row * 17 + 7 * turn + 5 * k) % len(world.THINGS)] for k in range(words)
    ]
    return " ".join(own[: 1 + (row + turn) % words])


def _changed(words: list[str], chance: random.Random) -> str:
    made = list(words)
    for place in chance.sample(range(len(made)), CHANGED):
        made[place] = chance.choice(world.THINGS)
    return " ".join(made)


def main(words: list[str] | None = None) -> list[dict[str, Any]]:
    """Return and print what was measured, a case each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"some of {', '.join(CASES)}; none: all")
    parser.add_argument("--shape", default="gpt2-4x128", choices=list(world.SHAPES))
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    model = world.model(given.shape)
    found: list[dict[str, Any]] = []
    for case in given.cases or CASES:
        about = {"case": case, "shape": given.shape, "n": given.n, "torch": torch.__version__}
        found.append(about | measured(model, CASES[case](given.n), given.repeats))
        print(json.dumps(found[-1], indent=1))
        if given.out:
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def measured(model: nn.Module, asked: Set, repeats: int) -> dict[str, Any]:
    """Return seconds, operations and tokens of both ways, without the truth ratio and with it."""
    found: dict[str, Any] = {"load": os.getloadavg()[0]}
    apart = 0.0
    for name, mine in (("tokens", asked.bare()), ("with_truth_ratio", asked)):
        ours: list[float] = []
        plain: list[float] = []
        one, flops = counted(lambda mine=mine: once(model, mine))  # warm
        other, plain_flops = counted(lambda mine=mine: each(model, mine))
        apart = max(apart, *(abs(one[key] - other[key]) for key in other))
        for _ in range(repeats):
            ours.append(timed(lambda mine=mine: once(model, mine)))
            plain.append(timed(lambda mine=mine: each(model, mine)))
        a, b = statistics.median(ours), statistics.median(plain)
        found[name] = {
            "one_pass_s": a, "passes_s": b, "ratio": b / a,
            "one_pass_gflop": flops / 1e9, "passes_gflop": plain_flops / 1e9,
            **told(mine),
        }  # fmt: skip
    return found | {"difference": apart}


def timed(work: Callable[[], object]) -> float:
    """Return the CPU seconds that some work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def told(asked: Set) -> dict[str, float]:
    """Return how many tokens are run: by the passes, with padding, and the least there can be.

    The least: each different beginning of a row once, but whole rows, after which nothing is
    asked.
    """
    plain = padded = 0
    begun: set[tuple[int, ...]] = set()
    for times, rows in asked.passes():
        for _, batch in _batches(rows):
            lengths = batch.lengths.tolist()
            plain += times * sum(lengths)
            padded += times * batch.ids.numel()
            for ids, length in zip(batch.ids.tolist(), lengths, strict=True):
                begun |= {tuple(ids[:k]) for k in range(1, length)}
    least = len(begun)
    return {"least_tokens": least, "passes_tokens": plain, "passes_padded": padded}


# --- one pass ---------------------------------------------------------------------------------


def once(model: nn.Module, asked: Set) -> Numbers:
    """Return the mean of every metric, from one pass."""
    others = [list(ends) for ends in asked.wrong] or [[] for _ in asked.rows]
    for ends, other in zip(others, asked.reworded, strict=False):
        ends.append(other)
    prompts, answers = [p for p, _ in asked.rows], [a for _, a in asked.rows]
    seen = look(model, world.tokenizer(), Asked(prompts, answers, others))
    found = seen.tokens
    counts = found.counts.tolist()
    parts = [
        getattr(found, name).double().split(counts) for name in ("logp", "mean", "std", "hit")
    ]
    numbers = [[part.numpy() for part in row] for row in zip(*parts, strict=True)]
    values = [_metrics(row, answer) for row, answer in zip(numbers, answers, strict=True)]
    made = {name: statistics.fmean(value[name] for value in values) for name in PASSES}
    if not asked.wrong:
        return made
    own = [float(row[0].mean()) for row in numbers]
    right = [ends[-1] for ends in seen.others] if asked.reworded else own
    return made | _ratios(right, [ends[:WRONG] for ends in seen.others])


def _metrics(row: list[Any], answer: str) -> dict[str, float]:
    logp, mean, std, hit = row
    right = [bool(one) for one in hit]
    return {
        "probability": recalled.probability(logp),
        "exact_memorisation": recalled.exact_memorisation(right),
        "extraction_strength": recalled.extraction_strength(right),
        **recalled.attacks(logp, mean, std, answer, before=0.0),
    }


def _ratios(right: list[float], wrong: list[list[float]]) -> Numbers:
    """Return the means of both definitions."""
    ratios = [recalled.truth_ratio(*pair) for pair in zip(right, wrong, strict=True)]
    return {
        "truth_ratio": statistics.fmean(map(recalled.indistinct, ratios)),
        "truth_share": statistics.fmean(map(recalled.truth_share, ratios)),
    }


# --- a pass for each --------------------------------------------------------------------------

Look = Callable[[nn.Module, Rows], Iterator[Any]]


def _batches(rows: Rows) -> Iterator[tuple[Rows, Batch]]:
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        yield part, encode(world.tokenizer(), [p for p, _ in part], [a for _, a in part])


def _run(model: nn.Module, rows: Rows) -> Iterator[tuple[Batch, Tensor]]:
    """Yield batches and the log-probabilities (n, t, vocab) of every word everywhere."""
    for _, batch in _batches(rows):
        mask = batch.mask.long()
        with torch.no_grad():  # left before the yield: whoever stops halfway is not left in it
            logits = model(input_ids=batch.ids, attention_mask=mask, use_cache=False).logits
        yield batch, logits.float().log_softmax(-1)


def _said(model: nn.Module, rows: Rows) -> Iterator[Any]:
    """Yield the log-probabilities of each row's tokens, (T,)."""
    for batch, logp in _run(model, rows):
        said = logp[:, :-1].gather(2, batch.ids[:, 1:, None])[..., 0]
        for i, mine in enumerate(batch.answer[:, 1:]):
            yield said[i, mine].double().numpy()


def _whole(model: nn.Module, rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the log-probabilities (T, vocab) of all words for each row's tokens, and these."""
    for batch, logp in _run(model, rows):
        for i in range(len(batch.ids)):
            at = batch.answer[i].nonzero()[:, 0]
            yield logp[i, at - 1], batch.ids[i, at]


def _hits(model: nn.Module, rows: Rows) -> Iterator[list[bool]]:
    for logp, ids in _whole(model, rows):
        yield (logp.argmax(-1) == ids).tolist()


def _moments(model: nn.Module, rows: Rows) -> Iterator[tuple[Any, Any]]:
    for logp, _ in _whole(model, rows):
        p = logp.exp()
        mean = (p * logp).sum(-1)
        std = (p * (logp - mean[:, None]).square()).sum(-1).sqrt()
        yield mean.double().numpy(), std.double().numpy()


def _plus(model: nn.Module, rows: Rows) -> list[float]:
    """Return min-k++: a pass for the words' moments, and one for what the tokens are."""
    both = zip(_said(model, rows), _moments(model, rows), strict=True)
    return [recalled.min_k_plus(logp, *moments) for logp, moments in both]


def _zlib(model: nn.Module, rows: Rows) -> list[float]:
    told = zip(_said(model, rows), rows, strict=True)
    return [recalled.by_zlib(logp, answer) for logp, (_, answer) in told]


METRICS: dict[str, Callable[[nn.Module, Rows], list[float]]] = {
    "probability": lambda m, rows: list(map(recalled.probability, _said(m, rows))),
    "exact_memorisation": lambda m, rows: list(
        map(recalled.exact_memorisation, _hits(m, rows))
    ),
    "extraction_strength": lambda m, rows: list(
        map(recalled.extraction_strength, _hits(m, rows))
    ),
    "loss": lambda m, rows: list(map(recalled.loss, _said(m, rows))),
    "reference": lambda m, rows: list(map(recalled.loss, _said(m, rows))),
    "zlib": _zlib,
    "min_k": lambda m, rows: list(map(recalled.min_k, _said(m, rows))),
    "min_k_plus": _plus,
}
PASSES = {name: 2 if name == "min_k_plus" else 1 for name in METRICS}


def each(model: nn.Module, asked: Set) -> Numbers:
    """Return the mean of every metric, from a pass for each."""
    made = {name: statistics.fmean(find(model, asked.rows)) for name, find in METRICS.items()}
    if not asked.wrong:
        return made
    _, *beside = asked.passes()
    means = [[float(np.mean(logp)) for logp in _said(model, rows)] for _, rows in beside]
    # What the answers themselves are weighed as is kept of the first metric.
    kept = means[WRONG] if asked.reworded else None
    right = kept or [float(np.mean(logp)) for logp in _said(model, asked.rows)]
    return made | _ratios(right, [list(ends) for ends in zip(*means[:WRONG], strict=True)])


if __name__ == "__main__":
    main()
