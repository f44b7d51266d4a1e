"""What is asked of a method."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Annotated, Any, Literal

from pydantic import Field

from ksmith.settings.fields import REQUIRED, Count, CountFromZero, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`draws` independent updates of `scale` facts each, all from the base weights.

    With `sequence`, a draw is a chain: so many facts, `batch` of them at a time, each batch
    written into what the ones before left.
    """

    kind: Literal["edit", "unlearn"] = setting(
        "edit", "edit: answer with a new object; unlearn: stop answering with the old one"
    )
    method: str = setting(REQUIRED, "the editor or unlearner")
    level: Literal["any", "root", "intermediate", "leaf"] = setting(
        "any", "level of the subjects in the graph"
    )
    forget: Literal["facts", "entity", "branch", "relation"] = setting(
        "facts",
        "what task.scale counts, for edits too: facts; entities; branches, each an entity at "
        "task.level and everything below it; relations; of each, all facts that can be requested",
        omit_at_default=True,
    )
    relation: str | None = setting(
        None, "the relation whose facts are drawn; by default all are", omit_at_default=True
    )
    scale: Count = setting(1, "facts updated together, or what else task.forget says")
    share: Annotated[float, Field(gt=0, le=1)] | None = setting(
        None,
        "share of what task.forget counts at task.level, instead of task.scale; the first draw "
        "of a larger share holds that of a smaller one",
        omit_at_default=True,
    )
    draws: Count = setting(20, "independent updates, each from the base weights")
    neutral: Literal["abstain", "prior", "uniform"] = setting(
        "abstain",
        "what an unlearned fact should answer: abstain, the reply to never-known subjects; "
        "prior, the relation's most common other object; uniform, every object of the type "
        "alike (at most 24, the old one among them)",
    )
    gold: CountFromZero = setting(
        0,
        "gold models a draw, trained on the changed graph, to which updates are held; 5 or more "
        "where it carries a claim",
        omit_at_default=True,
    )
    sequence: CountFromZero = setting(
        0,
        "facts of each draw that are written one batch after another; 0: all of scale at once",
        omit_at_default=True,
    )
    batch: Count = setting(
        1,
        "facts of a sequence written together; its last batch may have fewer",
        omit_at_default=True,
    )
    checkpoints: tuple[Count, ...] | None = setting(
        None,
        "facts after which a sequence is measured, beside its end; by default 1, 2, 5, 10, 20, "
        "50 and so on, each at the end of its batch",
        omit_at_default=True,
    )

    def __post_init__(self) -> None:
        self._check_forget()
        if self.gold == 1:
            raise ValueError(
                "gold = 1: must be 0, or 2 and more: the unit of distance is that between two "
                "gold models"
            )
        if self.sequence:
            self._check_sequence()
            return
        for name, value in (("batch", self.batch != 1), ("checkpoints", self.checkpoints)):
            if value:
                raise ValueError(
                    f"{name} = {_told(getattr(self, name))}: is of a sequence; say "
                    f"task.sequence, how many facts it has, or leave {name} out"
                )

    def _check_forget(self) -> None:
        if self.forget == "branch" and self.level == "any":
            raise ValueError(
                'forget = "branch": task.level says where branches begin: root, intermediate or '
                "leaf"
            )
        if self.relation == "":
            raise ValueError('relation = "": must name a relation, or be left out')
        if self.share is None:
            return
        for name, value, usual in (("scale", self.scale, 1), ("sequence", self.sequence, 0)):
            if value != usual:
                raise ValueError(
                    f"share = {self.share}: says how much is drawn, and so does task.{name} = "
                    f"{value}; leave one out"
                )
        most = int(1 / self.share + 1e-9)
        if self.draws > most:
            raise ValueError(
                f"share = {self.share}: draws have nothing in common, so there can be {most} at "
                f"most; task.draws is {self.draws}"
            )

    def _check_sequence(self) -> None:
        if self.scale != 1:
            raise ValueError(
                f"scale = {self.scale}: a sequence writes task.batch facts together; say "
                "batch, and leave scale out"
            )
        if self.gold:
            raise ValueError(
                f"gold = {self.gold}: gold models are of one change, and a sequence is many; "
                "leave gold or sequence out"
            )
        if self.batch > self.sequence:
            raise ValueError(
                f"batch = {self.batch}: must be <= sequence = {self.sequence}, all its facts"
            )
        for wrong, allowed in self._wrong_checkpoints():
            raise ValueError(f"checkpoints = {_told(self.checkpoints)}: {wrong} {allowed}")

    def _wrong_checkpoints(self) -> Iterator[tuple[int | str, str]]:
        given = self.checkpoints
        if given is None:
            return
        if not given:
            yield "must", "name one, or be left out"
        for before, now in pairwise(given):
            if now <= before:
                yield now, f"after {before}: must rise"
        for fact in given:
            if fact > self.sequence:
                yield fact, f"lies beyond sequence = {self.sequence}"
            if fact % self.batch and fact != self.sequence:
                yield fact, f"ends no batch: must be a multiple of batch = {self.batch}"


def _told(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def checkpoints(task: Mapping[str, Any]) -> tuple[int, ...]:
    """Return after how many facts a draw of a resolved `task` is measured.

    Without a sequence that is once, after the update: step 1, whatever its scale.

    >>> checkpoints({"sequence": 12, "batch": 1})
    (1, 2, 5, 10, 12)
    >>> checkpoints({"sequence": 12, "batch": 4})
    (4, 8, 12)
    """
    end, batch = int(task.get("sequence", 0)), int(task.get("batch", 1))
    if not end:
        return (1,)
    given = task.get("checkpoints")
    wanted = list(given) if given is not None else list(_round_numbers(end))
    # Between two ends of batches there is no model to measure.
    ends = {min(-(-fact // batch) * batch, end) for fact in wanted}
    return tuple(sorted({*ends, end}))


def _round_numbers(end: int) -> Iterator[int]:
    """Yield 1, 2, 5, 10, 20, 50, ... below `end`: a constant number for each power of ten."""
    for power in count():
        for digit in (1, 2, 5):
            if digit * 10**power >= end:
                return
            yield digit * 10**power


def batch_ends(task: Mapping[str, Any]) -> tuple[int, ...]:
    """Return how many facts of a draw are written after each batch of a resolved `task`.

    >>> batch_ends({"sequence": 5, "batch": 2})
    (2, 4, 5)
    """
    end, batch = int(task["sequence"]), int(task.get("batch", 1))
    return (*range(batch, end, batch), end)
