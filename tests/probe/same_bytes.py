"""What a process makes of files: `python -m tests.probe.same_bytes FOLDER SOURCES`, as JSON."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ksmith import graph
from ksmith.graph.files import node_link
from ksmith.probe.generate import Trial, generate
from ksmith.records import Json
from ksmith.settings.probe import KINDS, Probe

Sources = Mapping[str, tuple[Mapping[str, Json], str]]  # name -> settings of a graph, its file
Said = dict[str, tuple[str, int, str]]


def said(folder: Path, sources: Sources) -> Said:
    """Return name -> the graph's digest, the number of its questions and the digest of these."""
    found: Said = {}
    for name, (settings, file) in sources.items():
        known = graph.build(settings, {"graph.path": str(folder / file)})
        asked = graph.requests(known, {"kind": "edit", "scale": 2, "draws": 4}, 0)
        probe = asdict(Probe(kinds=KINDS, reworded=True))
        trial = Trial(name=name, graph=known, requests=asked, settings=probe, seed=0)
        out = folder / f"{name}.parquet"
        count = generate([trial], out, workers=1)
        of_graph = hashlib.sha256(json.dumps(node_link(known)).encode()).hexdigest()
        found[name] = (of_graph, count, hashlib.sha256(out.read_bytes()).hexdigest())
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(said(Path(sys.argv[1]), json.loads(sys.argv[2]))))
