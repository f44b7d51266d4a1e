"""Every unlearner ends where the textbook loop of the same steps ends."""

import json
from functools import cache
from pathlib import Path

import pytest
from torch import nn

from ksmith.unlearn import UNLEARNERS
from tests.benchmarks import unlearn, world


@cache
def toy() -> nn.Module:
    return world.model("toy")


@pytest.mark.parametrize("method", UNLEARNERS)
def test_as_the_plain_loop(method: str) -> None:
    """Sets that have their turns at other steps, answers of one and of two tokens."""
    ready = unlearn.job(method, toy(), 3, 5, {"steps": 3, "batch": 2})
    assert unlearn.apart(ready.ours(), ready.plain()) < 1e-4


def test_one_method_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "unlearn.json"
    words = ["ga", "--shape", "toy", "--facts", "2", "--retain", "2", "--steps", "1"]
    unlearn.main([*words, "--repeats", "1", "--out", str(out)])
    (found,) = json.loads(out.read_text(encoding="utf-8"))["measured"]
    assert found["ms"] > 0
    assert found["plain_ms"] > 0
    assert found["plain_gflop"] > found["gflop"] > 0
    assert len(capsys.readouterr().out.splitlines()) == 2
