"""What an edit costs on a GPU: `python -m tests.benchmarks.gpu`.

Llama-3-8B's and GPT-J's shapes, randomly initialised in bfloat16: speed does not depend on the
weights. Wall time, from one synchronisation to the next: milliseconds an edit with the update
written, tokens a second through the optimisation, its share of the rate of one large matrix
product measured beside, and the plain loop on a few requests in the same process. With
`--device cpu --shape toy` it runs anywhere, to be tried out.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ksmith.edit import EDITORS
from ksmith.lm.rows import at_subject, prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.solve import factor, free_directions, least_squares, projected
from ksmith.lm.suffix import Place
from ksmith.lm.targets import search
from ksmith.settings import method as settings_of
from tests.benchmarks import world
from tests.benchmarks.counted import IN_PLACE
from tests.benchmarks.measured import RESULTS
from tests.benchmarks.plain import plain
from tests.benchmarks.plain import rows as plain_rows

VOCABULARY = {"llama-3-8b": 128_256, "gpt-j-6b": 50_400}
LAYERS = {"llama-3-8b": (4, 5, 6, 7, 8), "gpt-j-6b": (3, 4, 5, 6, 7, 8)}


@dataclass(frozen=True)
class Solved:
    """What the algebra of one layer costs, in float64: seconds, each done once a layer."""

    d_model: int
    d_ff: int
    n: int
    factor_s: float  # Cholesky of the second moment, for all batches
    memit_s: float  # n keys, given that
    free_s: float  # eigenvectors of the second moment, for all batches
    alphaedit_s: float  # n keys, given those


def solves(d: int, f: int, n: int, device: str) -> Solved:
    """Return what the solves cost for a moment of full rank whose eigenvalues fall off."""
    made = torch.Generator(device).manual_seed(0)
    x = torch.randn(2 * f, f, device=device, generator=made)
    x *= torch.logspace(0, -3, f, device=device)
    moment = (x.T @ x / len(x)).double()
    K = torch.randn(f, n, device=device, generator=made)
    R = torch.randn(d, n, device=device, generator=made)
    factor(moment[:64, :64], 1e-4)  # warms
    kept: list[Tensor] = []
    first = seconds(lambda: kept.append(factor(moment, 1e-4)), device)
    second = seconds(lambda: least_squares(K, R, kept[0], 0.9 * f), device)
    third = seconds(lambda: kept.append(free_directions(moment, 0.05)), device)
    last = seconds(lambda: projected(K, R, kept[1], 1.0), device)
    return Solved(d, f, n, first, second, third, last)


@dataclass(frozen=True)
class Measured:
    """One shape."""

    shape: str
    device: str
    n: int
    search_ms: float  # an edit
    edit_ms: float  # ... the update included
    plain_ms: float  # ... of the plain loop's search
    ratio: float  # plain / search
    tokens_per_s: float  # of rows, from the subject's last token on, times steps
    tflops: float  # matrix products of the search that were made, a second
    matmul_tflops: float  # of one large product in the same dtype
    share: float
    memory_gb: float


def seconds(run: Callable[[], object], device: str) -> float:
    """Return the wall time of a run, all of it done."""
    _done(device)
    start = time.perf_counter()
    run()
    _done(device)
    return time.perf_counter() - start


def _done(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """Return the floating point operations a second of a large matrix product."""
    n = 8192 if device == "cuda" else 512
    x = torch.randn(n, n, device=device).to(dtype)
    for _ in range(3):
        torch.mm(x, x)
    return max(2 * n**3 / seconds(lambda: torch.mm(x, x), device) for _ in range(10))


def measure(shape: str, n: int, device: str, *, steps: int, few: int) -> Measured:
    """Return what one shape costs."""
    dtype = torch.bfloat16
    model = world.model(shape, VOCABULARY.get(shape), dtype, device)
    layers = list(LAYERS.get(shape, (0, 1)))
    s, assets = sites(model), world.assets(model, layers, 10)
    hp: Any = settings_of(
        "memit", {"steps": steps, "contexts": 6, "stop_loss": 0.0, "layers": layers}
    )
    requests, before = world.requests(n), prefixes(assets.contexts, hp.contexts)
    asked = rows(assets.tokenizer, requests, before, assets.kl_template)
    site = s.mlp_out(layers[-1])
    size = at_subject(model, asked.where(asked.bare), [site])[site].norm(dim=1)

    def find(count: int) -> Tensor:
        some = asked.of(torch.arange(count))
        return search(model, some, Place(site, s.head, size[:count]), hp).delta

    def loop(i: int) -> Tensor:
        mine = plain_rows(assets.tokenizer, requests[i], before, assets.kl_template)
        return plain(model, mine, layers[-1], hp, size[i]).delta

    counted = min(n, 64)
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:  # also warms
        find(counted)
    flops = counter.get_total_flops() * n / counted
    loop(0)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    found = seconds(lambda: find(n), device)
    whole = seconds(lambda: EDITORS["memit"](model, [requests], hp, assets), device)
    slow = seconds(lambda: [loop(i) for i in range(few)], device) / few
    rate, tokens = matmul_rate(device, dtype), int(asked.mask[:, asked.at :].sum())
    memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    return Measured(
        shape=shape,
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
        n=n,
        search_ms=1e3 * found / n,
        edit_ms=1e3 * whole / n,
        plain_ms=1e3 * slow,
        ratio=slow * n / found,
        tokens_per_s=tokens * steps / found,
        tflops=flops / found / 1e12,
        matmul_tflops=rate / 1e12,
        share=flops / found / rate,
        memory_gb=memory,
    )


def main(words: list[str] | None = None) -> None:
    """Measure the shapes that are asked for; print them and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", nargs="+", default=list(VOCABULARY), choices=world.SHAPES)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--few", type=int, default=3, help="requests of the plain loop")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu.json")
    given = parser.parse_args(words)
    found: list[Measured] = []
    wide = (4096, 14336) if given.device == "cuda" else (16, 64)
    algebra = solves(*wide, given.n, given.device)
    _show(algebra)
    for shape in given.shape:
        found.append(measure(shape, given.n, given.device, steps=given.steps, few=given.few))
        _show(found[-1])
    given.out.parent.mkdir(parents=True, exist_ok=True)
    written = {
        "torch": torch.__version__,
        "solves": asdict(algebra),
        "measured": [asdict(one) for one in found],
    }
    given.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def _show(one: Measured | Solved) -> None:
    print("\n".join(f"{name:14} {value}" for name, value in asdict(one).items()), flush=True)


if __name__ == "__main__":
    main()
