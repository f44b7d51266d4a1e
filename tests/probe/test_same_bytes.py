"""The same seed, the same graph and questions, byte for byte: of what files say, too.

Sets of strings come in another order in every process: this one and another say the same.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.graph.conftest import counterfact, town_records
from tests.graph.test_triples import kingdom, settings
from tests.probe.same_bytes import said


def test_of_files_whatever_the_order_of_sets(tmp_path: Path) -> None:
    with (tmp_path / "facts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("subject", "relation", "object"), *kingdom(60)])
    (tmp_path / "r.json").write_text(json.dumps(town_records()))
    sources = {
        "triples": (settings(min_support=3), "facts.csv"),
        "records": (counterfact(), "r.json"),
    }
    other = "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"
    there = subprocess.run(
        [sys.executable, "-m", "tests.probe.same_bytes", str(tmp_path), json.dumps(sources)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": other},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    here = said(tmp_path, sources)
    assert json.loads(there) == {name: list(row) for name, row in here.items()}
    assert min(count for _, count, _ in here.values()) > 100
