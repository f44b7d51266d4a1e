"""A corpus as one document after another, never whole in memory: text, JSON lines, Parquet.

In a text file a line is a document; in JSON lines one field of each object is; in Parquet the
rows of one column are. Lines without a letter and rows without a text are no documents.
"""

import codecs
import json
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from ksmith.records import UserError

Kind = Literal["text", "jsonl", "parquet"]
KINDS: dict[str, Kind] = {
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
COLUMN = "text"  # where none is named
LONGEST = 1 << 20  # bytes of a line of text that are read: no row of tokens needs the rest
LONGEST_OBJECT = 1 << 26  # bytes of a line of JSON
CHUNK = 1 << 20  # bytes
ROWS = 256  # of a Parquet file that are in memory at a time


@dataclass(frozen=True, slots=True)
class Corpus:
    """A file, and how it is read."""

    path: Path
    kind: Kind
    column: str | None  # None for a text file


class Place(NamedTuple):
    """Where a document begins."""

    at: int = 0  # the byte in a file of lines, the row of a Parquet file
    line: int = 0  # lines before it


class Document(NamedTuple):
    """One document, and where the next one begins."""

    text: str
    after: Place


START = Place()


def find(path: Path, column: str | None = None) -> Corpus:
    """Return how the file is read, its column found where none is named.

    Raises:
        UserError: not such a file, no such column, one of another type, or nothing in it.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise UserError(f"not a kind of file that is read ({', '.join(KINDS)})")
    if kind == "text":
        if column is not None:
            raise UserError(f"a text file has no columns: leave {column!r} out")
        corpus = Corpus(path, kind, None)
    else:
        columns = _columns if kind == "parquet" else _fields
        corpus = Corpus(path, kind, _chosen(columns(path), column))
    with closing(documents(corpus)) as found:
        if next(found, None) is None:
            raise UserError("no documents in it")
    return corpus


def documents(corpus: Corpus, start: Place = START) -> Generator[Document]:
    """Yield the documents from `start` on.

    Raises:
        UserError: what is wrong with the file, and in which line or column.
    """
    if corpus.kind == "parquet":
        yield from _rows(corpus, start)
        return
    read = _lines if corpus.kind == "text" else _objects
    with corpus.path.open("rb") as file:
        file.seek(start.at)
        for line, after in read(file, start):
            text = line if isinstance(line, str) else field(line, corpus.column, after.line)
            if text.strip():
                yield Document(text.strip(), after)


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the object of each line of a file of JSON lines, after the line's number.

    Raises:
        UserError: a line that holds none.
    """
    with path.open("rb") as file:
        for found, after in _objects(file, START):
            yield after.line, found


def check_text(path: Path) -> None:
    """Read a file of lines to its end.

    Raises:
        UserError: a line of it is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 0
    with path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                # What was left of the chunk before holds no end of a line.
                lines += error.object.count(b"\n", 0, error.start)
                raise UserError(_not_text(error, lines + 1)) from None
            if not chunk:
                return
            lines += chunk.count(b"\n")


# --- lines ------------------------------------------------------------------------------------


def _lines(file: BinaryIO, start: Place) -> Iterator[tuple[str, Place]]:
    """Yield each line, or what is read of a long one, and where the next one begins."""
    for line, after in _cut(file, start, LONGEST):
        # The last letter of what was cut may be cut, too.
        yield _decoded(line, after.line, final=line.endswith(b"\n")), after


def _objects(file: BinaryIO, start: Place) -> Iterator[tuple[dict[str, Any], Place]]:
    """Yield the object of each line, and where the next line begins."""
    for line, after in _cut(file, start, LONGEST_OBJECT):
        if len(line) > LONGEST_OBJECT:
            raise UserError(f"line {after.line}: longer than {LONGEST_OBJECT:,} bytes")
        text = _decoded(line, after.line)
        if text.strip():
            yield _object(text, after.line), after


def _cut(file: BinaryIO, start: Place, longest: int) -> Iterator[tuple[bytes, Place]]:
    """Yield each line, `longest` bytes of it and one more, and where the next one begins."""
    number = start.line
    while line := file.readline(longest + 1):
        rest = line
        while not rest.endswith(b"\n") and (rest := file.readline(CHUNK)):
            pass
        number += 1
        yield line, Place(file.tell(), number)


def _decoded(line: bytes, number: int, *, final: bool = True) -> str:
    decoder = codecs.getincrementaldecoder("utf-8-sig" if number == 1 else "utf-8")()
    try:
        return decoder.decode(line, final)
    except UnicodeDecodeError as error:
        raise UserError(_not_text(error, number)) from None


def _not_text(error: UnicodeDecodeError, number: int) -> str:
    return f"line {number}: not UTF-8 (byte 0x{error.object[error.start]:02x})"


def _object(text: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"line {number}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"line {number}: {_kind(value)}, not an object")
    return value


def field(found: dict[str, Any], column: str | None, number: int) -> str:
    """Return the text of one field; "" where it is null."""
    if column not in found:
        raise UserError(f"line {number}: no field {column!r}; there are {_listed(found)}")
    value = found[column]
    if value is not None and not isinstance(value, str):
        raise UserError(f"line {number}: {column!r} holds {_kind(value)}, not a text")
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise UserError(f"line {number}: {column!r} holds half of a surrogate pair") from None
    return value or ""


def _fields(path: Path) -> dict[str, str]:
    """Return the fields of the first object: name -> what it holds, "" for a text."""
    with path.open("rb") as file:
        found, _ = next(_objects(file, START), ({}, START))
    if not found:
        raise UserError("no documents in it")
    texts = (str, type(None))
    return {k: "" if isinstance(v, texts) else _kind(v) for k, v in found.items()}


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return names.get(type(value), "true or false" if isinstance(value, bool) else "a number")


# --- Parquet ----------------------------------------------------------------------------------


@contextmanager
def _parquet(path: Path) -> Generator[Any]:
    """Yield the file, open; whatever pyarrow finds wrong with it is the user's to know."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (
        pa.ArrowInvalid,
        pa.ArrowNotImplementedError,
        OSError,
        UnicodeDecodeError,  # a name
    ) as error:
        raise UserError(f"not a Parquet file that can be read: {_first(error)}") from None


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _columns(path: Path) -> dict[str, str]:
    """Return the columns: name -> the type that it holds, "" for texts."""
    import pyarrow as pa

    def holds(kind: Any) -> str:
        inner = kind.value_type if pa.types.is_dictionary(kind) else kind
        texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
        return "" if any(test(inner) for test in texts) else str(kind)

    with _parquet(path) as file:
        return {one.name: holds(one.type) for one in file.schema_arrow}


def _rows(corpus: Corpus, start: Place) -> Iterator[Document]:
    with _parquet(corpus.path) as file:
        counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        firsts = [sum(counts[:i]) for i in range(len(counts) + 1)]
        for group, (first, beyond) in enumerate(pairwise(firsts)):
            if beyond <= start.at:
                continue
            row = first
            batches = file.iter_batches(ROWS, row_groups=[group], columns=[corpus.column])
            for batch in batches:
                for text in _decoded_column(batch.column(0), corpus.column, row):
                    row += 1
                    if row > start.at and text and text.strip():
                        yield Document(text.strip(), Place(row))


def _decoded_column(values: Any, name: str | None, before: int) -> list[str | None]:
    """Return the texts of a column, of which `before` rows are behind; pyarrow checks none."""
    try:
        return values.to_pylist()
    except UnicodeDecodeError:
        for row, value in enumerate(values, start=before + 1):
            try:
                value.as_py()
            except UnicodeDecodeError as error:
                byte = f"byte 0x{error.object[error.start]:02x}"
                raise UserError(f"row {row}: {name!r} is not UTF-8 ({byte})") from None
        raise


def _chosen(columns: dict[str, str], column: str | None) -> str:
    """Return the column that is read."""
    texts = [name for name, holds in columns.items() if not holds]
    there = f"texts are in {_listed(texts)}" if texts else "no column holds texts"
    if column is None:
        if COLUMN in texts or len(texts) == 1:
            return COLUMN if COLUMN in texts else texts[0]
        raise UserError(f"which column is the text? {there}")
    if column not in columns:
        raise UserError(f"no column {column!r}; there are {_listed(columns)}")
    if columns[column]:
        raise UserError(f"column {column!r} holds {columns[column]}, not texts; {there}")
    return column


def _listed(names: Any) -> str:
    """Return the names in one line, not too long, whatever they are made of."""
    shown = [name if name.isprintable() else repr(name) for name in list(names)[:20]]
    return ", ".join([*shown, *(["..."] if len(names) > 20 else [])])
