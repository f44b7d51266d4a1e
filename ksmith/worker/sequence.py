"""Sequences: the batches of a draw, each written into what the ones before it left.

Every draw is a chain of its own, from the base weights on, and carries its method's state along;
nothing goes from one draw to another. What is done so far is kept (`worker/partial.py`), so that
an attempt that was killed is taken up at the batch where it was kept last. Right after each
batch its own facts are asked for, word for word: whether a fact was learnt, which is what can be
forgotten, is known of each, however few checkpoints there are.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from ksmith.lm import chain as chains
from ksmith.lm import delta as deltas
from ksmith.lm.assets import Assets, Result
from ksmith.lm.chain import Chain, joined
from ksmith.lm.delta import Delta, applied
from ksmith.lm.score import score
from ksmith.records import Answer, Json, Question, Request, UserError
from ksmith.settings.task import batch_ends, checkpoints
from ksmith.worker.job import Job
from ksmith.worker.opening import Base
from ksmith.worker.partial import Partial

ROOM = "chain"  # folder of the update's files, one a draw
WRITTEN = "written.parquet"  # see measures/sequence.py
SINGULAR = torch.linalg.LinAlgError  # pyright: ignore[reportPrivateImportUsage]

# A batch of one of the draws, and what surrounds it -> its change of the model as it is now.
Write = Callable[[int, Sequence[Request], Assets], Result]


@dataclass(slots=True)
class _Draw:
    """How far one draw is."""

    segments: list[Delta] = field(default_factory=list[Delta])  # up to checkpoints gone by
    running: Delta = field(default_factory=dict[str, Tensor])  # the batches since the last
    state: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])  # the method's own
    logs: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])  # one a batch
    rows: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])  # one a request
    past: Delta = field(default_factory=dict[str, Tensor])  # the sum of all segments

    @property
    def total(self) -> Delta:
        """The whole change of the base weights."""
        return joined(self.past, self.running)

    def close(self) -> None:
        """Begin another segment."""
        self.segments.append(self.running)
        self.past = joined(self.past, self.running)
        self.running = {}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """What all draws of an update are written with."""

    job: Job
    base: Base
    method: Write
    assets: Assets
    partial: Partial

    def write(
        self, draws: Sequence[Sequence[Request]]
    ) -> tuple[list[dict[str, Json]], dict[str, Json]]:
        """Write every draw's chain into the job's folder; the base weights are as before.

        Returns:
            The log of each draw, {"batches": ...}, and what goes into `Outcome.info`.
        """
        from ksmith import measures

        (self.job.folder / ROOM).mkdir()
        logs: list[dict[str, Json]] = []
        rows: list[dict[str, Json]] = []
        taken_up: dict[str, Json] = {}
        for number, draw in enumerate(draws):
            one = _restored(self.partial.find(_name(number)), self.base.weights)
            if one.logs:
                taken_up[f"draw {number}"] = len(one.logs)
            self._draw(number, draw, one)
            logs.append({"batches": one.logs})
            rows += one.rows
        measures.written(rows).write_parquet(self.job.folder / WRITTEN)
        failed = {(row["draw"], row["step"]) for row in rows if row["failed"]}
        info: dict[str, Json] = {
            "steps": list(checkpoints(self._task)),
            "batches": sum(len(log["batches"]) for log in logs),
            "batches not written": len(failed),
        }
        return logs, {**info, "taken up after": taken_up} if taken_up else info

    @property
    def _task(self) -> Mapping[str, Json]:
        return self.job.spec.recipe["task"]

    def _draw(self, number: int, draw: Sequence[Request], one: _Draw) -> None:
        """Write what is left of a draw, then its file."""
        ends, steps = batch_ends(self._task), checkpoints(self._task)
        done, weights = len(one.logs), self.base.weights
        for start, end in zip((0, *ends)[done:], ends[done:], strict=False):
            self._batch(number, draw[start:end], end, one)
            if end in steps:
                one.close()
            if self.partial.due() or end == ends[-1]:
                self.partial.keep(_name(number), lambda path: _keep(one, path, weights))
            whole = int(self._task["draws"]) * ends[-1]
            self.job.progress(number * ends[-1] + end, whole, "facts written")
        about = {"method": self.job.spec.recipe["method"]["name"], "base": weights}
        chains.save(
            Chain(steps, one.segments),
            self.job.folder / ROOM / f"{number}.safetensors",
            {**about, "update": self.job.spec.key, "draw": str(number)},
        )

    def _batch(self, number: int, batch: Sequence[Request], end: int, one: _Draw) -> None:
        """Write a batch, and ask for its facts; one that can't be written changes nothing."""
        base, given = self.base, replace(self.assets, state=one.state)
        begun = time.monotonic()
        with applied(base.model, one.total):
            result, failed = _tried(lambda: self.method(number, batch, given))
        running = joined(one.running, deltas.kept(result.delta)) if result else one.running
        if result and not deltas.is_finite(joined(one.past, running)):
            result, failed = None, "the sum of the changes is not finite"
        if result:
            one.running, one.state = running, result.state
        seconds = time.monotonic() - begun
        norm = deltas.length(result.delta) if result else None
        with applied(base.model, one.total):
            answers = score(base.model, base.tokenizer, [_question(fact) for fact in batch])
        told = result.log if result else {"failed": failed}
        one.logs.append({"step": end, "norm": norm, "seconds": round(seconds, 4), **told})
        more = {"step": end, "norm": math.inf if norm is None else norm, "failed": failed}
        one.rows += [
            _row(request, answer, written=result is not None)
            | {"number": end - len(batch) + 1 + i}
            | more
            for i, (request, answer) in enumerate(zip(batch, answers, strict=True))
        ]


def _tried(attempt: Callable[[], Result]) -> tuple[Result | None, str]:
    """Return what a method made, or None and why not.

    A model that earlier batches ruined can be past writing to. That is a result, not a mistake:
    the batch counts as not written, and what was measured before it is kept.
    """
    try:
        result = attempt()
    except (FloatingPointError, SINGULAR) as error:
        return None, " ".join(str(error).split())[:200] or type(error).__name__
    if not (deltas.is_finite(result.delta) and deltas.is_finite(result.state)):
        return None, "the change is not finite"
    return result, ""


# --- what is asked for at once ----------------------------------------------------------------


def _question(request: Request) -> Question:
    return Question(
        id=request.id,
        draw=request.draw,
        request=request.id,
        probe="written",
        set="target",
        prompt=request.prompt,
        candidates=(request.new, request.old),
        right=0,
        right_before=1,
        rival=1,
        subject=request.subject,
        fact=request.fact,
        generate=False,
    )


def _row(request: Request, answer: Answer, *, written: bool) -> dict[str, Json]:
    """Return whether the fact is as it was asked to be, and was made so.

    What was not written is not learnt, whatever the model says already. An edit holds while the
    new answer is what the model says, an unlearned fact while the old one is not. Whether the
    neutral answer beats the old one says nothing of what is forgotten, so an unlearned fact has
    no success.
    """
    learnt = written and not any(math.isnan(logp) for logp in answer.logp)
    new, old = (logp / n for logp, n in zip(answer.logp, answer.tokens, strict=True))
    edit = request.kind == "edit"
    return {
        "draw": request.draw,
        "request": request.id,
        "kind": request.kind,
        "success": learnt and new > old if edit else None,
        "held": learnt and (answer.argmax[0] if edit else not answer.argmax[1]),
    }


# --- what is half done ------------------------------------------------------------------------


def _name(draw: int) -> str:
    return f"draw-{draw}.safetensors"


def _keep(one: _Draw, path: Path, weights: str) -> None:
    log = json.dumps({"logs": one.logs, "rows": one.rows})
    deltas.save([*one.segments, one.running, one.state], path, {"base": weights, "log": log})


def _restored(path: Path | None, weights: str) -> _Draw:
    """Return how far an earlier attempt had come with a draw; of no use is what is damaged."""
    one = _Draw()
    if path is None:
        return one
    try:
        (*segments, running, state), metadata = deltas.load_with(path, weights)
        found = json.loads(metadata["log"])
        logs, rows = list[Any](found["logs"]), list[Any](found["rows"])
    except (UserError, ValueError, KeyError, TypeError):
        return one
    for segment in segments:
        one.running = segment
        one.close()
    one.running, one.state = (
        running,
        {name: deltas.dense(block) for name, block in state.items()},
    )
    one.logs, one.rows = logs, rows
    return one
