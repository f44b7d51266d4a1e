"""Descents that attempts at an update take up from each other."""

import re
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ksmith import study
from ksmith.lm.delta import dense, load
from ksmith.lm.descend import Descent, Pace, descend
from ksmith.records import Outcome, Spec
from ksmith.worker import descents as kept
from ksmith.worker.attempt import Stop, perform
from ksmith.worker.descents import Descents
from ksmith.worker.job import Job
from ksmith.worker.partial import Partial
from ksmith.worker.tasks import HANDLERS
from tests.conftest import ROOT
from tests.worker import test_sequence
from tests.worker.test_sequence import requests
from tests.worker.test_tasks import SMALL, stranger

__all__ = ["stranger"]  # a fixture

STEPS = 4
WEIGHTS = "0" * 64


class Asked(BaseException):
    """Somebody asks this process to end."""


def job(home: Path, attempt: int = 1, sequence: int | None = None) -> Job:
    return test_sequence.job(home, attempt, sequence=sequence)


def descended(
    keeper: Descents,
    draws: int = 3,
    ends: Mapping[tuple[int, int], BaseException] | None = None,
) -> tuple[list[Descent], list[tuple[int, int]]]:
    """Return where the descents of all draws ended, and which step of which draw was taken."""
    taken: list[tuple[int, int]] = []
    found: list[Descent] = []
    for draw in range(draws):

        def parts(
            weights: Mapping[str, Tensor], step: int, draw: int = draw
        ) -> dict[str, Tensor]:
            if error := (ends or {}).get((draw, step)):
                raise error
            taken.append((draw, step))
            return {"x": (weights["weight"] - draw - step).square().sum()}

        model = nn.Linear(3, 2, bias=False)
        nn.init.ones_(model.weight)
        pace, one = Pace(lr=0.1, steps=STEPS), keeper(requests(draw, 2, "unlearn"))
        found.append(descend(model, {"weight": 1.0}, parts, pace, keeper=one))
    return found, taken


def files(home: Path) -> list[str]:
    return sorted(path.name for path in home.glob("partial/*/*/*"))


def same(one: Sequence[Descent], other: Sequence[Descent]) -> bool:
    return all(
        torch.equal(a.delta["weight"], b.delta["weight"]) and a.curve == b.curve
        for a, b in zip(one, other, strict=True)
    )


def test_who_is_asked_to_end_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Draws that are done are not begun again; the one that was under way goes on."""
    whole, _ = descended(Descents(job(tmp_path / "whole"), WEIGHTS))
    with pytest.raises(Asked):
        descended(Descents(job(tmp_path), WEIGHTS), ends={(1, 2): Asked()})
    assert files(tmp_path) == ["descent-0.0.safetensors", "descent-1.0.safetensors"]
    keeper = Descents(job(tmp_path, attempt=2), WEIGHTS)
    again, taken = descended(keeper)
    assert taken == [(1, 2), (1, 3), *((2, step) for step in range(STEPS))]
    assert same(whole, again)
    assert keeper.taken_up == {"0.0": STEPS, "1.0": 2}
    assert "descent-1.0.safetensors is taken up after 2 steps" in capsys.readouterr().err


def test_a_short_update_writes_nothing(tmp_path: Path) -> None:
    descended(Descents(job(tmp_path), WEIGHTS))
    assert files(tmp_path) == [] and kept.SECONDS >= 60


def test_what_was_kept_in_time_outlives_a_kill(tmp_path: Path) -> None:
    """An error of the work stands for it: nothing is kept at that moment."""
    whole, _ = descended(Descents(job(tmp_path / "whole"), WEIGHTS), draws=1)
    killed = Descents(job(tmp_path), WEIGHTS, seconds=0.0)
    with pytest.raises(ValueError, match="killed"):
        descended(killed, draws=1, ends={(0, 3): ValueError("killed")})
    assert files(tmp_path) == ["descent-0.0.safetensors"]
    keeper = Descents(job(tmp_path, attempt=2), WEIGHTS)
    again, taken = descended(keeper, draws=1)
    assert 1 <= keeper.taken_up["0.0"] == STEPS - len(taken) and same(whole, again)


@pytest.mark.parametrize("what", ["update", "base", "requests", "torch"])
def test_a_state_of_something_else_is_not_taken_up(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Asked):
        descended(Descents(job(tmp_path), WEIGHTS), draws=1, ends={(0, 3): Asked()})
    (path,) = tmp_path.glob("partial/*/*/*")
    start = f'"{what}": "'.encode()
    path.write_bytes(re.sub(start + b".", start + b"#", path.read_bytes()))
    keeper = Descents(job(tmp_path, attempt=2), WEIGHTS)
    assert len(descended(keeper, draws=1)[1]) == STEPS
    said = capsys.readouterr().err
    assert f"is not taken up, and the descent starts anew: its {what} is '#" in said
    assert keeper.taken_up == {} and files(tmp_path) == []


def test_a_full_disk_is_no_reason_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = Descents(job(tmp_path), WEIGHTS, seconds=0.0)
    assert keeper.partial.folder
    (keeper.partial.folder / "descent-0.0.safetensors.tmp").mkdir()  # nothing can be written
    whole, _ = descended(Descents(job(tmp_path / "whole"), WEIGHTS), draws=1)
    assert same(whole, descended(keeper, draws=1)[0])
    assert "descent-0.0.safetensors cannot be kept: " in capsys.readouterr().err


def test_an_attempt_that_is_late_ends(tmp_path: Path) -> None:
    late = Descents(job(tmp_path), WEIGHTS, seconds=0.0)
    assert late.partial.folder
    Partial.take(job(tmp_path, attempt=2))
    with pytest.raises(FileNotFoundError, match="newer attempt"):
        descended(late, draws=1)


def test_a_sequence_keeps_the_batch_under_way_alone(tmp_path: Path) -> None:
    keeper = Descents(job(tmp_path, sequence=2), WEIGHTS)
    with pytest.raises(Asked):
        descended(keeper, ends={(1, 2): Asked()})
    assert files(tmp_path) == ["descent-1.0.safetensors"]
    again = Descents(job(tmp_path, attempt=2, sequence=2), WEIGHTS)
    _, taken = descended(again, draws=2)
    assert taken == [*((0, step) for step in range(STEPS)), (1, 2), (1, 3)]
    again(requests(2, 2, "unlearn"))
    assert files(tmp_path) == []


def test_a_signal_is_heard_after_the_block() -> None:
    seen: list[str] = []

    def stop(_number: int, _frame: FrameType | None) -> None:
        seen.append("heard")
        raise Asked

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(Asked), kept.held():
            signal.raise_signal(signal.SIGTERM)
            seen.append("in the block")
        assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == ["in the block", "heard"]


def test_an_update_that_is_asked_to_end_goes_on_in_the_next_attempt(
    stranger: Path, tmp_path: Path
) -> None:
    """By a real signal, to the same bits; the outcome has no trace of the state's file."""
    spec = specs(tmp_path, stranger, "method.pdu.steps=2", "method.pdu.retain=8")
    for role in ("graph", "model", "update"):
        assert perform(spec(role, 1), lambda: HANDLERS).outcome.error is None
    before = signal.signal(signal.SIGTERM, stop := Stop())
    try:
        ended = perform(spec("update", 2), lambda: HANDLERS, emit=terminate, stop=stop)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.outcome.reason == "preempted" and files(tmp_path)
    perform(spec("update", 3), lambda: HANDLERS)
    folders = [Path(spec("update", attempt).folder) for attempt in (1, 3)]
    whole, again = (Outcome.read(folder) for folder in folders)
    assert whole and again and again.info["went_on_from"] == {"0.0": 1}
    assert set(again.files) == set(whole.files) and not list(tmp_path.glob("partial/*"))
    assert again.files["update.json"] == whole.files["update.json"]
    both = [load(folder / "delta.safetensors")[0] for folder in folders]
    for one, other in zip(*both, strict=True):
        assert one and all(torch.equal(dense(one[name]), dense(other[name])) for name in one)


def terminate(event: dict[str, Any]) -> None:
    if event["event"] == "progress" and "steps" in event["text"]:
        signal.raise_signal(signal.SIGTERM)


def specs(home: Path, model: Path, *sets: str) -> Callable[[str, int], Spec]:
    """Return what gives an attempt at a node, by its role and number, of a trial of pdu."""
    unlearn = (
        "task.kind=unlearn",
        'task.method=["pdu"]',
        "task.draws=1",
        f"model.load={model}",
    )
    (point,) = study.read(
        ROOT / "studies" / "plasticity.toml", [*SMALL, *unlearn, *sets]
    ).points
    nodes = study.nodes(point)

    def spec(role: str, attempt: int) -> Spec:
        node = nodes[role]
        return Spec(
            key=node.key,
            kind=node.kind,
            recipe=node.recipe,
            needs={
                need: str(home / "assets" / key / "1-1") for need, key in node.needs.items()
            },
            need_keys=node.needs,
            files=node.files,
            folder=str(home / "assets" / node.key / f"{attempt}-{attempt}"),
            attempt=attempt,
            fence=attempt,
        )

    return spec
