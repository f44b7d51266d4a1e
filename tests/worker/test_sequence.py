"""Chains of batches on a tiny model, with methods that are easy to follow."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
import torch
from torch import Tensor

from ksmith.graph import KnowledgeGraph
from ksmith.lm.assets import Assets, Result
from ksmith.lm.chain import Chain, load_for
from ksmith.lm.delta import LowRank, applied, dense, weights_digest
from ksmith.lm.sites import sites
from ksmith.records import Json, Request, Spec
from ksmith.worker.job import Job
from ksmith.worker.letters import Letters
from ksmith.worker.opening import Base
from ksmith.worker.partial import Partial, room
from ksmith.worker.sequence import ROOM, WRITTEN, Writer
from tests.lm.models import OBJECTS, SUBJECTS, TEMPLATES, tiny, tokenizer


class Killed(BaseException):
    """What ends an attempt in the middle."""


@dataclass
class Counting:
    """A method whose state is how many facts it wrote, and whose change is of rank one."""

    base: Base
    calls: list[tuple[int, tuple[str, ...], float]] = field(
        default_factory=list[tuple[int, tuple[str, ...], float]]
    )
    weights: list[str] = field(default_factory=list[str])  # digest of what each call was given
    after: Callable[[int], Result | None] = lambda number: None  # instead, at that call

    def __call__(self, draw: int, batch: Sequence[Request], given: Assets) -> Result:
        known = float(given.state.get("written", torch.zeros(1)))
        self.calls.append((draw, tuple(request.id for request in batch), known))
        self.weights.append(weights_digest(self.base.model))
        other = self.after(len(self.calls))
        if other is not None:
            return other
        name = sites(self.base.model).weight(1)
        rows, columns = self.base.model.get_parameter(name).shape
        generator = torch.Generator().manual_seed(len(batch) + 7 * int(known) + 31 * draw)
        left, right = (torch.randn(n, 1, generator=generator) for n in (rows, columns))
        state = {"written": torch.tensor([known + len(batch)])}
        return Result(
            delta={name: LowRank(0.1 * left, right.T)}, log={"n": len(batch)}, state=state
        )


def base() -> Base:
    model = cast(Any, tiny("llama"))
    letters = Letters.of(None)
    graph = cast(KnowledgeGraph, None)  # no writer asks it
    return Base(graph, model, tokenizer(), None, weights_digest(model), letters)


def requests(draw: int, count: int, kind: Any = "edit") -> list[Request]:
    return [
        Request(
            id=f"{draw}.{i}",
            draw=draw,
            kind=kind,
            subject=SUBJECTS[i % len(SUBJECTS)],
            relation="emblem",
            old=OBJECTS[i % len(OBJECTS)],
            new=OBJECTS[(i + 1) % len(OBJECTS)],
            template=TEMPLATES[draw],
        )
        for i in range(count)
    ]


def job(home: Path, attempt: int = 1, **task: Json) -> Job:
    """Return an attempt at an update; all are of the same node."""
    folder = home / "assets" / "update-1-00000000000000000000" / f"{attempt}-{attempt}"
    spec = Spec(
        key="update-1-00000000000000000000",
        kind="update",
        recipe={"task": {"sequence": 5, "draws": 2} | task, "method": {"name": "counting"}},
        needs={},
        need_keys={},
        files={},
        folder=str(folder),
        attempt=attempt,
        fence=attempt,
    )
    Path(f"{folder}.tmp").mkdir(parents=True)
    return Job(spec=spec, folder=Path(f"{folder}.tmp"), partial=room(spec))


def write(one: Job, method: Counting, kind: Any = "edit") -> tuple[Any, dict[str, Json]]:
    """Write the job's chains, keeping what is done after every batch."""
    assets = Assets(tokenizer=tokenizer(), seed=0)
    writer = Writer(
        job=one,
        base=method.base,
        method=method,
        assets=assets,
        partial=Partial.take(one, seconds=0),
    )
    task = one.spec.recipe["task"]
    return writer.write([requests(d, task["sequence"], kind) for d in range(task["draws"])])


def chains(one: Job, weights: str) -> list[Chain]:
    files = sorted((one.folder / ROOM).iterdir())
    return [load_for(path, weights) for path in files]


def same(one: Sequence[Chain], other: Sequence[Chain]) -> bool:
    """Are all segments the same, bit for bit?"""
    pairs = zip(one, other, strict=True)
    return all(
        a.steps == b.steps
        and all(
            set(x) == set(y) and all(torch.equal(dense(x[n]), dense(y[n])) for n in x)
            for x, y in zip(a.segments, b.segments, strict=True)
        )
        for a, b in pairs
    )


def test_state_goes_along_each_chain_and_never_to_another_draw(tmp_path: Path) -> None:
    method = Counting(base())
    one = job(tmp_path, batch=2, checkpoints=[2, 4, 5])
    logs, info = write(one, method)
    assert method.calls == [
        (draw, ids, known)
        for draw in (0, 1)
        for ids, known in (
            ((f"{draw}.0", f"{draw}.1"), 0.0),
            ((f"{draw}.2", f"{draw}.3"), 2.0),
            ((f"{draw}.4",), 4.0),  # the last batch has what is left
        )
    ]
    assert info == {"steps": [2, 4, 5], "batches": 6, "batches not written": 0}
    assert [batch["n"] for batch in logs[0]["batches"]] == [2, 2, 1]
    assert weights_digest(method.base.model) == method.base.weights  # nothing stayed in it


def test_what_a_batch_was_computed_on_is_what_the_chain_says_bit_for_bit(
    tmp_path: Path,
) -> None:
    """More edits than the matrix has rank, so that pairs become dense on the way."""
    method = Counting(base())
    one = job(tmp_path, sequence=14, draws=1, checkpoints=list(range(1, 15)))
    write(one, method)
    (chain,) = chains(one, method.base.weights)
    (name,) = chain.until()
    kinds = {type(total[name]) for _, total in chain.totals()}
    assert kinds == {LowRank, Tensor}
    for (step, total), seen in zip(chain.totals(), method.weights[1:], strict=False):
        with applied(method.base.model, total):
            assert weights_digest(method.base.model) == seen, step


@pytest.mark.parametrize("killed_at", [1, 4, 6, 8])
def test_killed_attempt_is_taken_up_and_ends_the_same(tmp_path: Path, killed_at: int) -> None:
    def kill(number: int) -> Result | None:
        if number == killed_at:
            raise Killed
        if number == killed_at - 1:
            time.sleep(0.2)  # what is done is kept at most a twentieth of the time
        return None

    whole = Counting(base())
    undisturbed = job(tmp_path / "whole")
    write(undisturbed, whole)
    first, second = Counting(whole.base, after=kill), Counting(whole.base)
    with pytest.raises(Killed):
        write(job(tmp_path), first)
    assert weights_digest(whole.base.model) == whole.base.weights
    again = job(tmp_path, attempt=2)
    logs, info = write(again, second)
    kept = sum(info.get("taken up after", {}).values())
    assert kept <= killed_at - 1
    assert second.calls == whole.calls[kept:]  # with the state that they had the first time
    assert second.weights == whole.weights[kept:]
    assert kept >= 5 or killed_at < 6  # a draw that was whole is not begun again
    assert same(*(chains(one, whole.base.weights) for one in (undisturbed, again)))
    seen = [pl.read_parquet(one.folder / WRITTEN) for one in (undisturbed, again)]
    assert seen[0].equals(seen[1])
    assert [len(log["batches"]) for log in logs] == [5, 5]


def test_damaged_remains_are_not_used(tmp_path: Path) -> None:
    method = Counting(base())
    one = job(tmp_path, draws=1)
    write(one, method)
    (kept,) = room(one.spec).rglob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-8])
    again = Counting(method.base)
    write(job(tmp_path, attempt=2, draws=1), again)
    assert again.calls == method.calls


def broken(number: int) -> Result | None:
    if number == 2:
        raise FloatingPointError("the loss is not finite")
    if number == 3:
        return Result(
            delta={"any": torch.tensor([float("nan")])}, state={"written": torch.ones(1)}
        )
    return None


def test_batch_that_cannot_be_written_changes_nothing_and_is_counted(tmp_path: Path) -> None:
    method = Counting(base(), after=broken)
    one = job(tmp_path, draws=1)
    logs, info = write(one, method)
    assert info["batches not written"] == 2
    assert [known for _, _, known in method.calls] == [0, 1, 1, 1, 2]  # the state stays, too
    assert method.weights[1] == method.weights[2] == method.weights[3] != method.weights[4]
    seen = pl.read_parquet(one.folder / WRITTEN)
    told = ["", "the loss is not finite", "the change is not finite", "", ""]
    assert seen["failed"].to_list() == told
    assert seen["norm"].is_infinite().to_list() == [bool(text) for text in told]
    assert logs[0]["batches"][1]["failed"] == told[1]
    nothing = [batch["norm"] is None for batch in logs[0]["batches"]]
    assert nothing == [bool(text) for text in told]
    json.dumps(logs, allow_nan=False)  # update.json is read by other programs, too


@pytest.mark.parametrize("kind", ["edit", "unlearn"])
def test_what_was_not_written_is_not_learnt_whatever_the_model_says(
    tmp_path: Path, kind: Any
) -> None:
    """The base model prefers some of the new answers, and says few of the old ones."""

    def never(number: int) -> Result | None:
        raise FloatingPointError("no")

    one = job(tmp_path, draws=2)
    write(one, Counting(base(), after=never), kind)
    seen = pl.read_parquet(one.folder / WRITTEN)
    assert seen["held"].to_list() == [False] * 10
    assert seen["success"].to_list() == [False if kind == "edit" else None] * 10


def test_sum_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    model = cast(Any, tiny("llama"))
    name = sites(model).weight(1)
    huge = torch.full(model.get_parameter(name).shape, 3e38)
    method = Counting(base(), after=lambda number: Result(delta={name: huge}))
    one = job(tmp_path, draws=1, sequence=2)
    _, info = write(one, method)
    assert info["batches not written"] == 1
    seen = pl.read_parquet(one.folder / WRITTEN)
    assert seen["failed"].to_list() == ["", "the sum of the changes is not finite"]
    assert seen["held"].to_list() == [False, False]  # such a model says nothing


def test_mistake_in_a_method_is_no_result(tmp_path: Path) -> None:
    def wrong(number: int) -> Result | None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        write(job(tmp_path), Counting(base(), after=wrong))


@pytest.mark.parametrize("kind", ["edit", "unlearn"])
def test_facts_are_asked_for_right_after_their_batch(tmp_path: Path, kind: Any) -> None:
    method = Counting(base())
    one = job(tmp_path, batch=2, draws=1, checkpoints=[2, 4, 5])
    write(one, method, kind)
    seen = pl.read_parquet(one.folder / WRITTEN)
    assert seen["number"].to_list() == [1, 2, 3, 4, 5]
    assert seen["step"].to_list() == [2, 2, 4, 4, 5]
    (chain,) = chains(one, method.base.weights)
    model, words = method.base.model, tokenizer()
    mine = requests(0, 5, kind)
    for (_, total), at in zip(chain.totals(), ([0, 1], [2, 3], [4]), strict=True):
        with applied(model, total):
            for i in at:
                logp, best = textbook(model, words, mine[i].prompt, (mine[i].new, mine[i].old))
                row = seen.row(i, named=True)
                if kind == "edit":
                    assert (row["success"], row["held"]) == (logp[0] > logp[1], best[0])
                else:
                    assert (row["success"], row["held"]) == (None, not best[1])


def textbook(
    model: Any, words: Any, prompt: str, answers: Sequence[str]
) -> tuple[list[float], list[bool]]:
    """Return mean log-probability a token, and whether all are the most probable, in full."""
    logp: list[float] = []
    best: list[bool] = []
    start = len(words(prompt)["input_ids"])
    for answer in answers:
        ids = torch.tensor([words(f"{prompt} {answer}")["input_ids"]])
        found = model(input_ids=ids).logits[0, start - 1 : -1].double().log_softmax(-1)
        gold = ids[0, start:]
        logp.append(float(found.gather(1, gold[:, None]).mean()))
        best.append(bool((found.argmax(-1) == gold).all()))
    return logp, best
