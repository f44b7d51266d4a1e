"""The benchmark of the one pass runs, at toy size, and both ways say the same."""

import json
from pathlib import Path

from tests.benchmarks import onepass


def test_one_pass_and_a_pass_for_each_metric_agree(tmp_path: Path) -> None:
    out = tmp_path / "onepass.json"
    onepass.main(["--shape", "toy", "--n", "4", "--repeats", "1", "--out", str(out)])
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["difference"] < 1e-4
    assert all(found[part]["ratio"] > 0 for part in ("tokens", "with_truth_ratio"))
