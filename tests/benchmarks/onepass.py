"""One pass for all metrics beside a pass for each: `python -m tests.benchmarks.onepass`.

Process CPU time on one thread. The plain way is that of public code: every metric tokenises the
set again, runs it through the model in batches as they come, and takes the log-softmax of all
logits. Both are of the same model and set in one process, in turns; their numbers must agree.
Of one set there are eight metrics of tokens (probability, exact memorisation, extraction
strength, and attacks by loss, reference, zlib, min-k, min-k++); with wrong answers the truth
ratio comes to it, whose own rows both ways have to run. Prints JSON.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ksmith.lm.prefill import Asked, look
from ksmith.lm.text import encode
from ksmith.measures import recalled
from tests.benchmarks import world

METRICS = (
    "probability", "exact_memorisation", "extraction_strength",
    "loss", "reference", "zlib", "min_k", "min_k_plus",
)  # fmt: skip
WRONG, BATCH = 5, 32
Rows = list[tuple[str, str]]


def main(words: list[str] | None = None) -> dict[str, Any]:
    """Return and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="gpt2-4x128", choices=list(world.SHAPES))
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--words", type=int, default=3, help="of an answer, at most")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    model = world.model(given.shape)
    requests = world.requests(given.n)
    rows = [(r.prompt, _answer(i, 0, given.words)) for i, r in enumerate(requests)]
    wrong = [
        (p, _answer(i, j, given.words))
        for i, (p, _) in enumerate(rows)
        for j in range(1, WRONG + 1)
    ]
    found: dict[str, Any] = {"shape": given.shape, "n": given.n, "words": given.words}
    found["torch"] = torch.__version__
    apart = 0.0
    for name, more in (("tokens", []), ("with_truth_ratio", wrong)):
        ours: list[float] = []
        plain: list[float] = []
        for _ in range(given.repeats):
            one, seconds = timed(lambda more=more: once(model, rows, more))
            ours.append(seconds)
            other, seconds = timed(lambda more=more: each(model, rows, more))
            plain.append(seconds)
            apart = max(apart, *(abs(one[key] - other[key]) for key in other))
        a, b = statistics.median(ours), statistics.median(plain)
        found[name] = {"one_pass_s": a, "passes_s": b, "ratio": b / a}
    found["difference"] = apart
    text = json.dumps(found, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")
    return found


def _answer(row: int, turn: int, words: int) -> str:
    """Return an answer of one word, or of more, up to `words`: as many of each length."""
    own = [
        world.THINGS[(row * 17 + 7 * turn + 5 * k) % len(world.THINGS)] for k in range(words)
    ]
    return " ".join(own[: 1 + (row + turn) % words])


def timed(work: Callable[[], dict[str, float]]) -> tuple[dict[str, float], float]:
    """Return what some work gives, and the CPU seconds that it took."""
    start = time.process_time()
    return work(), time.process_time() - start


def once(model: nn.Module, rows: Rows, wrong: Rows) -> dict[str, float]:
    """Return the mean of every metric, from one pass."""
    others = [
        [name for _, name in wrong[i * WRONG : (i + 1) * WRONG]] for i in range(len(rows))
    ]
    asked = Asked([p for p, _ in rows], [a for _, a in rows], others)
    seen = look(model, world.tokenizer(), asked)
    found = seen.tokens
    counts = found.counts.tolist()
    parts = [
        getattr(found, name).double().split(counts) for name in ("logp", "mean", "std", "hit")
    ]
    numbers = [[part.numpy() for part in row] for row in zip(*parts, strict=True)]
    values = [_metrics(row, answer) for row, (_, answer) in zip(numbers, rows, strict=True)]
    made = {name: statistics.fmean(value[name] for value in values) for name in METRICS}
    if wrong:
        right = [float(row[0].mean()) for row in numbers]
        made["truth_ratio"] = _ratio(right, [mean for means in seen.others for mean in means])
    return made


def each(model: nn.Module, rows: Rows, wrong: Rows) -> dict[str, float]:
    """Return the mean of every metric, from a pass for each."""
    made: dict[str, float] = {}
    for name in METRICS:
        numbers = _passed(model, rows, moments=name == "min_k_plus")
        values = [
            _metrics(row, answer)[name] for row, (_, answer) in zip(numbers, rows, strict=True)
        ]
        made[name] = statistics.fmean(values)
    if wrong:
        right = [float(row[0].mean()) for row in _passed(model, rows)]
        made["truth_ratio"] = _ratio(right, [float(r[0].mean()) for r in _passed(model, wrong)])
    return made


def _metrics(row: list[Any], answer: str) -> dict[str, float]:
    logp, mean, std, hit = row
    told = [bool(one) for one in hit]
    return {
        "probability": recalled.probability(logp),
        "exact_memorisation": recalled.exact_memorisation(told),
        "extraction_strength": recalled.extraction_strength(told),
        **recalled.attacks(logp, mean, std, answer, before=0.0),
    }


def _ratio(right: list[float], wrong: list[float]) -> float:
    groups = [wrong[i * WRONG : (i + 1) * WRONG] for i in range(len(right))]
    pairs = zip(right, groups, strict=True)
    return statistics.fmean(recalled.indistinct(recalled.truth_ratio(*pair)) for pair in pairs)


def _passed(model: nn.Module, rows: Rows, *, moments: bool = False) -> list[list[Any]]:
    """Return the numbers of each row's tokens, from the log-softmax of everything."""
    found: list[list[Any]] = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        batch = encode(world.tokenizer(), [p for p, _ in part], [a for _, a in part])
        with torch.inference_mode():
            mask = batch.mask.long()
            logits = model(input_ids=batch.ids, attention_mask=mask, use_cache=False).logits
            logp = logits.float().log_softmax(-1)
        for i in range(len(part)):
            at = batch.answer[i].nonzero()[:, 0]
            mine = logp[i, at - 1].double()
            said = mine.gather(1, batch.ids[i, at][:, None])[:, 0]
            hit = mine.argmax(-1) == batch.ids[i, at]
            mean, std = torch.zeros_like(said), torch.ones_like(said)
            if moments:
                p = mine.exp()
                mean = (p * mine).sum(-1)
                std = (p * (mine - mean[:, None]).square()).sum(-1).sqrt()
            found.append([said.numpy(), mean.numpy(), std.numpy(), hit.numpy()])
    return found


if __name__ == "__main__":
    main()
