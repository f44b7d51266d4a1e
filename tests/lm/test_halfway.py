"""States of descents: each step of them leads to the same bits, and none of another is taken up."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from ksmith.lm.descend import Descent, Diverged, Divisible, Pace, Told, descend
from ksmith.lm.halfway import Halfway, Keeper, take_up
from ksmith.records import Json
from tests.lm.keepers import ABOUT, Copies
from tests.lm.test_descend import Short, eight

PACE = Pace(lr=0.1, steps=5, epsilon=0.3, warmup=3, before={"weight": torch.full((1, 8), 0.1)})


class Counting:
    """A watch that remembers, and ends the descent once it has seen so many losses."""

    def __init__(self, most: int = 99) -> None:
        self.seen: list[float] = []
        self.most = most

    def begin(self, step: int) -> None: ...

    def ended(self, step: int, losses: Mapping[str, float]) -> bool:
        self.seen.append(sum(losses.values()))
        return len(self.seen) >= self.most

    def state(self) -> dict[str, Json]:
        return {"seen": list(self.seen)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.seen = [float(x) for x in state["seen"]]


def model() -> nn.Module:
    made = nn.Linear(8, 1, bias=False)
    nn.init.ones_(made.weight)
    return made


def went(keeper: Keeper, watch: Counting, pace: Pace = PACE, room: int = 2) -> Descent:
    return descend(model(), {"weight": 1.0}, eight(room, []), pace, watch, keeper)


@pytest.mark.parametrize("most", [99, 4])  # up to the last step, or ended by the watch
def test_each_step_leads_to_the_same_bits(tmp_path: Path, most: int) -> None:
    first = Counting(most)
    whole = went(Copies(tmp_path), first)
    kept = sorted(int(path.name) for path in tmp_path.glob("[0-9]"))
    assert kept == list(range(min(most, PACE.steps)))
    for step in kept:
        watch = Counting(most)
        again = went(Copies(tmp_path, take=step), watch)
        assert torch.equal(again.delta["weight"], whole.delta["weight"]), step
        assert (again.curve, watch.seen) == (whole.curve, first.seen)
        assert again.pieces == whole.pieces == 4  # found once, and not tried again


def test_what_is_done_is_taken_up_without_a_step(tmp_path: Path) -> None:
    whole = went(Copies(tmp_path), Counting())
    at, log = begun(), list[int]()
    take_up(at, tmp_path / "done", ABOUT)
    assert at.done and torch.equal(at.delta["weight"], whole.delta["weight"])
    (tmp_path / "5").hardlink_to(tmp_path / "done")
    keeper, work = Copies(tmp_path, take=5), eight(8, log)
    again = descend(model(), {"weight": 1.0}, work, PACE, Counting(), keeper)
    assert torch.equal(again.delta["weight"], whole.delta["weight"]) and log == []
    sizes = [path.stat().st_size for path in (tmp_path / "4", tmp_path / "done")]
    assert sizes[0] - sizes[1] > 2 * 8 * 4 - 16  # no moments, but for what numbers differ in


def begun() -> Halfway:
    return Halfway.begun(dict(model().named_parameters()), Counting(), 1)


def at_start(state: Halfway) -> bool:
    tensors = [tensor for _, tensor in state.tensors()]
    fresh = (state.step, state.pieces, state.curve, state.done) == (0, 1, {}, False)
    return fresh and not any(bool(tensor.any()) for tensor in tensors)


def put(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new)


def torn(data: bytes) -> bytes:
    return data[:-8]


def gone(_data: bytes) -> bytes:
    return b""


def noise(data: bytes) -> bytes:
    return b"\xff" * len(data)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (torn, "damaged"),
        (gone, "damaged"),
        (noise, "damaged"),
        (put(b"mean:weight", b"mean:height"), "other parameters"),
        (put(b"[1, 8]", b"[8, 1]"), r"F32 \[8, 1\]"),
        (put(b'"seen', b'"been'), "damaged"),
        (put(b"a test", b"a tent"), "its what is 'a tent', not 'a test'"),
        (put(b"descent-1", b"descent-9"), "its format is"),
    ],
)
def test_a_state_of_something_else_or_a_torn_one_is_refused(
    tmp_path: Path, spoil: Callable[[bytes], bytes], why: str
) -> None:
    went(Copies(tmp_path), Counting())
    whole = (tmp_path / "3").read_bytes()
    state = begun()
    take_up(state, tmp_path / "3", ABOUT)
    assert state.step == 3 and not at_start(state)
    (tmp_path / "3").write_bytes(spoil(whole))
    assert (tmp_path / "3").read_bytes() != whole
    state = begun()
    with pytest.raises(ValueError, match=why):
        take_up(state, tmp_path / "3", ABOUT)
    assert at_start(state)


def test_it_is_an_ordinary_safetensors_file(tmp_path: Path) -> None:
    went(Copies(tmp_path), Counting())
    with safe_open(tmp_path / "3", framework="pt") as file:
        assert set(file.keys()) == {f"{of}:weight" for of in ("delta", "mean", "square")}
        assert all(file.get_tensor(name).dtype == torch.float32 for name in file.keys())  # noqa: SIM118
        assert json.loads(file.metadata()["at"])["step"] == 3


class Asked(BaseException):
    """Somebody asks the process to end."""


class Last:
    """Keeps in memory how often it was asked to, and of which step."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.inside = False

    def restore(self, state: Halfway) -> None: ...

    def due(self) -> bool:
        return False

    def keep(self, state: Halfway) -> None:
        self.kept.append(state.step)
        raise OSError("disk full")  # it ends all the same

    def ended(self, state: Halfway) -> None: ...

    def held(self) -> AbstractContextManager[None]:
        return _Block(self)


class _Block(AbstractContextManager[None]):
    def __init__(self, last: Last) -> None:
        self.last = last

    def __enter__(self) -> None:
        self.last.inside = True

    def __exit__(self, *_: object) -> None:
        self.last.inside = False


@pytest.mark.parametrize("error", [Asked, KeyboardInterrupt])
def test_who_is_asked_to_end_keeps_the_steps_before(error: type[BaseException]) -> None:
    last = Last()

    def parts(weights: Mapping[str, torch.Tensor], step: int) -> dict[str, torch.Tensor]:
        if step == 2:
            raise error
        return {"x": weights["weight"].square().sum()}

    with pytest.raises(error):
        descend(model(), {"weight": 1.0}, parts, Pace(lr=0.1, steps=5), keeper=last)
    assert last.kept == [2]


@pytest.mark.parametrize("error", [ValueError, Short, Diverged("no", 0, {})])
def test_an_error_of_the_work_is_not_kept(error: Any) -> None:
    last = Last()

    def parts(_weights: object, _step: int) -> dict[str, torch.Tensor]:
        raise error

    with pytest.raises(error if isinstance(error, type) else Diverged):
        descend(model(), {"weight": 1.0}, parts, Pace(lr=0.1, steps=5), keeper=last)
    assert last.kept == []


def test_nobody_breaks_in_while_weights_and_moments_move() -> None:
    last, seen = Last(), list[tuple[bool, int]]()

    watch = Told(lambda step: seen.append((last.inside, step)))
    work = Divisible(into=lambda _many: [lambda w, step: {"x": w["weight"].sum()}])
    descend(model(), {"weight": 1.0}, work, replace(PACE, before={}), watch, last)
    assert seen == [(True, step) for step in range(5)] and not last.inside
