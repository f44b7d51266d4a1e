"""Corpora of one content in each kind of file."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = [
    "The raven is in Oss.",
    "Ćma łąka, 月 and 🦊.",
    "One.",
    "Mira Tolu is a region.",
    "Last",
]


def parquet(path: Path, columns: dict[str, Any], group: int = 2) -> Path:
    table: Any = pa.table(columns)
    pq.write_table(table, path, row_group_size=group)
    return path


def written(folder: Path, kind: str, texts: list[str] | None = None) -> Path:
    """Return a file with the texts and, between them, what is no document."""
    path = folder / f"corpus.{kind}"
    said = TEXTS if texts is None else texts
    if kind == "txt":
        path.write_text("\n \n".join(said), encoding="utf-8-sig")
    elif kind == "jsonl":
        rows = [json.dumps({"id": i, "text": text}) for i, text in enumerate(said)]
        gap = '\n\n{"id": 0, "text": null}\n'
        path.write_text(gap.join(rows) + "\n", encoding="utf-8")
    else:
        rows = [part for text in said for part in (text, None, " ")]
        parquet(path, {"id": list(range(len(rows))), "text": rows})
    return path
