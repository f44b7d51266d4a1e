"""Columns from settings: typed by what is in them, named by their dotted names."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ksmith.records import UserError
from ksmith.records import inside as inside_folder

# What stands before the columns of a metric or an answer: name, its setting, its type.
SHORT: tuple[tuple[str, str, Any], ...] = (
    ("method", "task.method", pl.String),
    ("task", "task.kind", pl.String),
    ("level", "task.level", pl.String),
    ("scale", "task.scale", pl.Int64),
    ("share", "task.share", pl.Float64),
    ("sequence", "task.sequence", pl.Int64),
    ("seed", "seed", pl.Int64),
    ("graph_seed", "graph.seed", pl.Int64),
    ("model_seed", "model.seed", pl.Int64),
)
ANSWERS, MEMORY = "answers.parquet", "memory.parquet"
TRIAL = ("study", "trial", *(name for name, _, _ in SHORT))


def settings(texts: Sequence[str]) -> pl.DataFrame:
    """Return one column a setting, one row a text of JSON: `{"task.scale": 10, ...}`.

    A column of numbers is Int64 or Float64; of lists, a list of those; where kinds are mixed it
    is text, as JSON but for plain strings. A name that a row lacks is null there.
    """
    # Thousands of trials differ in a few settings: equal texts are read once.
    read = {text: json.loads(text) for text in set(texts)}
    rows: list[dict[str, Any]] = [read[text] for text in texts]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def _column(name: str, values: list[Any]) -> pl.Series:
    dtype = _dtype(value for value in values if value is not None)
    if dtype is None:
        return pl.Series(name, [_text(value) for value in values], pl.String)
    return pl.Series(name, values, dtype, strict=False)


def _dtype(values: Iterable[Any]) -> Any:
    """Return the type that holds all of `values`, or None where only text does."""
    kinds: dict[type, list[Any]] = defaultdict(list)
    for value in values:
        kinds[type(value)].append(value)
    found = set(kinds)
    if not found:
        return pl.String  # all null, or lists that are all empty
    if found == {list}:
        inner = _dtype(item for value in kinds[list] for item in value)
        return pl.List(inner) if inner is not None else None
    plain = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64, str: pl.String}
    if len(found) == 1:
        return plain.get(found.pop())
    return pl.Float64 if found == {int, float} else None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def pick(frame: pl.DataFrame, name: str, dtype: Any) -> pl.Expr:
    """Return a column of `frame`, or nulls where it has none of that name."""
    return pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype)


def named(rows: pl.DataFrame) -> pl.DataFrame:
    """Return node_id, folder and the columns `TRIAL` of the rows of `Lab.trials`.

    The scale of a sequence is all its facts, as in questions and reports; a share has none.
    """
    values = settings(rows["settings"].to_list())
    short = [pick(values, source, dtype).alias(name) for name, source, dtype in SHORT]
    # An empty lab has no column to take the length from, so the literals would give one row.
    picked = values.select(short) if values.columns else pl.DataFrame(schema=_schema())
    counted = pl.when(pl.col("share").is_null()).then("scale")
    long = picked.with_columns(scale=pl.coalesce("sequence", counted))
    return rows.select("node_id", "folder", "study", "trial").hstack(long)


def asked(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the rows of `Lab.trials` in which that setting is true."""
    values = settings(rows["settings"].to_list())
    return rows.filter(values[name].fill_null(False)) if name in values else rows.clear()


def _schema() -> dict[str, Any]:
    return {name: dtype for name, _, dtype in SHORT}


def answers(rows: pl.DataFrame, home: Path) -> pl.LazyFrame:
    """Return a lazy scan of the answers of the trials in `rows`, which `named` made."""
    from ksmith.measures import SCHEMA

    return _scan(_with_file(rows, lambda folder: _file(home, folder, ANSWERS)), SCHEMA)


def gold(rows: pl.DataFrame, home: Path) -> pl.LazyFrame:
    """Return a lazy scan of the distances of the trials in `rows` that have gold models."""
    from ksmith.measures.gold import SCHEMA

    return _scan(_where_there(rows, home, "gold.parquet"), SCHEMA)


def memory(rows: pl.DataFrame, home: Path) -> pl.LazyFrame:
    """Return a lazy scan of what models have of the sets of the trials in `rows`."""
    from ksmith.measures import judged
    from ksmith.measures import memory as sets

    mine = _with_file(rows, lambda folder: _file(home, folder, MEMORY))
    return _scan(mine, {**sets.SCHEMA, **judged.SCHEMA}, whole=True)


def memory_gold(rows: pl.DataFrame, home: Path) -> pl.LazyFrame:
    """Return a lazy scan of the distances in answers of the trials that have gold models."""
    from ksmith.measures.memory_gold import SCHEMA

    return _scan(_where_there(rows, home, "memory_gold.parquet"), SCHEMA, whole=True)


def _where_there(rows: pl.DataFrame, home: Path, name: str) -> pl.DataFrame:
    """Return the rows whose folder has that file, with a column that names it."""
    return _with_file(rows, lambda folder: str(inside_folder(home, folder) / name)).filter(
        pl.col("file").map_elements(lambda path: Path(path).is_file(), return_dtype=pl.Boolean)
    )


def _with_file(rows: pl.DataFrame, file: Callable[[str], str]) -> pl.DataFrame:
    return rows.with_columns(
        pl.col("folder").map_elements(file, return_dtype=pl.String).alias("file")
    )


def _scan(
    rows: pl.DataFrame, schema: Mapping[str, Any], *, whole: bool = False
) -> pl.LazyFrame:
    """Return the rows of all files, each with the names of its trial.

    With `whole` all columns of `schema` are there, also those that no file has.
    """
    by_schema: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for file in rows["file"].unique(maintain_order=True):
        by_schema[tuple(pl.read_parquet_schema(file).items())].append(file)
    scans = [pl.scan_parquet(files, include_file_paths="file") for files in by_schema.values()]
    if whole or not scans:
        scans = [pl.LazyFrame(schema={**schema, "file": pl.String}), *scans]
    found = pl.concat(scans, how="diagonal_relaxed") if len(scans) > 1 else scans[0]
    names = [name for name in found.collect_schema().names() if name != "file"]
    if "level" in names:
        found = found.rename({"level": "subject_level"})
    own = ["subject_level" if name == "level" else name for name in names]
    labels = rows.lazy().select(*TRIAL, "file")
    return found.join(labels, on="file", how="inner", maintain_order="left").select(
        *TRIAL, *own
    )


def _file(home: Path, folder: str, name: str) -> str:
    file = inside_folder(home, folder) / name
    if not file.is_file():
        raise UserError(f"{file} is gone; `ksmith db check` lists what else is")
    return str(file)
