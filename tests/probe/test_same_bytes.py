"""The same seed, the same graph and questions, byte for byte: of what files say, too.

Sets of strings come in another order in every process; here two processes order them otherwise.
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

SCRIPT = """
import hashlib, json, sys
from dataclasses import asdict
from pathlib import Path
from ksmith import graph
from ksmith.probe.generate import Trial, generate
from ksmith.settings.probe import KINDS, Probe
from ksmith.graph.files import node_link

folder = Path(sys.argv[1])
for name, (table, file) in json.loads(sys.argv[2]).items():
    known = graph.build(table, {"graph.path": str(folder / file)})
    print(name, hashlib.sha256(json.dumps(node_link(known)).encode()).hexdigest())
    asked = graph.requests(known, {"kind": "edit", "scale": 2, "draws": 4}, 0)
    out = folder / f"{name}.parquet"
    probe = asdict(Probe(kinds=KINDS, reworded=True))
    trial = Trial(name=name, graph=known, requests=asked, settings=probe, seed=0)
    count = generate([trial], out, workers=1)
    print(name, count, hashlib.sha256(out.read_bytes()).hexdigest())
"""


def test_of_files_whatever_the_order_of_sets(tmp_path: Path) -> None:
    with (tmp_path / "facts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("subject", "relation", "object"), *kingdom(60)])
    (tmp_path / "r.json").write_text(json.dumps(town_records()))
    sources = {
        "triples": (settings(min_support=3), "facts.csv"),
        "records": (counterfact(), "r.json"),
    }
    said = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(sources)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    counts = [int(word) for word in said[0] if word.isdigit() and len(word) < 9]
    assert len(counts) == 2 and min(counts) > 100
