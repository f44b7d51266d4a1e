"""The benchmarks run, at toy size, and what they compare is the same thing."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import edit, gpu
from tests.benchmarks.tuning import Tuning


def test_on_a_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cpu.json"
    words = ["toy", "toy-llama", "--n", "1", "3", "--steps", "3", "--repeats", "1"]
    edit.main([*words, "--out", str(out)])
    (run,) = json.loads(out.read_text(encoding="utf-8"))
    found = run["measured"]
    assert [(one["case"], one["part"], one["n"]) for one in found] == [
        (case, part, n)
        for case in ("toy", "toy-llama")
        for n in (1, 3)
        for part in ("search", "edit")
    ]
    assert all(one["difference"] < 1e-4 for one in found if one["part"] == "search")
    assert all(one["ms"] > 0 and one["plain_ms"] > 0 for one in found)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(found)


def test_a_later_run_is_added_to_an_earlier_one(tmp_path: Path) -> None:
    out = tmp_path / "cpu.json"
    for more in ((), ("--add",), ("--add", "--n", "2")):
        edit.main(
            ["toy-ft", "--n", "1", "--steps", "1", "--repeats", "1", *more, "--out", str(out)]
        )
        runs = json.loads(out.read_text(encoding="utf-8"))
    assert [[one["n"] for one in run["measured"]] for run in runs] == [[1], [2]]


@pytest.mark.parametrize("method", edit.TUNED)
def test_tuning_is_as_the_plain_loop_has_it(method: str) -> None:
    checked = Tuning("toy", method, 1, 1, 2).check(1)
    assert checked.difference < 1e-5
    assert checked.plain_gflop > checked.gflop > 0


def test_on_a_gpu_script_tried_on_a_cpu(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--shape", "toy-llama", "--n", "3", "--steps", "3"]
    gpu.main([*words, "--few", "1", "--out", str(out)])
    (found,) = json.loads(out.read_text(encoding="utf-8"))["measured"]
    assert found["tflops"] > 0
    assert 0 < found["share"] < 1
    assert found["edit_ms"] > 0
