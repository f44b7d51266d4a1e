"""A user's own file of facts, read and checked: CSV, TSV, JSON lines or GraphML.

Columns are found by their headers, in any order and case; common names for them are known.
A file is read line by line, so that neither its size nor that of a line can fill the memory, and
whatever is wrong with it is told by file, line and column.
"""

import csv
import json
import re
import unicodedata
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ksmith.graph import triple_xml
from ksmith.graph.record_file import json_object
from ksmith.records import Json, UserError

LONGEST_LINE = 1 << 20  # bytes: a longer one is no line of facts
LONGEST_NAME = 1000  # characters: a longer one is a quote that was never closed, or no name
DELIMITERS = (",", "\t", ";", "|")
SHOWN = 60  # characters of what was given, in a message

# Header -> what stands below it; compared without case, spaces, - and _.
PARTS = ("subject", "relation", "object")
COMMON: dict[str, tuple[str, ...]] = {
    "subject": ("subject", "subj", "head", "source", "from", "entity", "node1", "s", "h"),
    "relation": ("relation", "predicate", "property", "rel", "edge", "label", "p", "r"),
    "object": ("object", "obj", "tail", "target", "to", "value", "node2", "o", "t"),
}
EXTRA = ("id", "type")  # subject_id, object_type, ...
BLANKS = "\t\n\v\f\r\x85"  # control characters that are read as a space
# Marks that change how a line is drawn and are part of no name: directions, soft hyphens.
UNSEEN = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


class Row(NamedTuple):
    """One fact as the file has it, names cleaned; what a file lacks is None."""

    line: int
    subject: str
    relation: str
    object: str
    subject_id: str | None = None
    relation_id: str | None = None
    object_id: str | None = None
    subject_type: str | None = None
    object_type: str | None = None


Columns = Mapping[str, str | None]  # subject, relation, object -> header, or None: to be found


def read(path: Path, columns: Columns | None = None) -> list[Row]:
    """Return the facts of the file, in its order.

    Raises:
        UserError: no such file, or what is wrong with it: file, line and column.
    """
    kind = path.suffix.lower()
    if kind not in READERS:
        known = ", ".join(READERS)
        raise UserError(f"graph.path: {path.name}: not a kind of file that is read ({known})")
    asked = {part: (columns or {}).get(part) for part in PARTS}
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"graph.path: a pipe or a device, not a file: {path}")  # it would wait
    try:
        with path.open("rb") as file:
            rows = list(READERS[kind](file, path, asked))
    except FileNotFoundError:
        raise UserError(f"graph.path: no such file: {path}") from None
    except IsADirectoryError:
        raise UserError(f"graph.path: a folder, not a file: {path}") from None
    except OSError as error:
        raise UserError(f"graph.path: {path}: {error.strerror}") from None
    if not rows:
        raise UserError(f"{path}: no facts in it")
    return rows


def lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """Yield the lines with their ends; none is ever read whole that is too long.

    Raises:
        UserError: a line that is too long, is not UTF-8, or has a null byte.
    """
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        at = f"{path}: line {number}"
        if len(line) > LONGEST_LINE:
            raise UserError(f"{at}: longer than {LONGEST_LINE:,} bytes: no line of facts")
        if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise UserError(f"{at}, column 1: UTF-16, not UTF-8: save the file as UTF-8")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            given = f"byte 0x{line[error.start]:02x}"
            raise UserError(f"{at}, column {error.start + 1}: not UTF-8 ({given})") from None
        if "\0" in text:
            raise UserError(f"{at}, column {text.index(chr(0)) + 1}: a null byte: not text")
        yield text


# --- names ------------------------------------------------------------------------------------


class Names(dict[str, str]):
    """A name as the file has it -> cleaned; each is cleaned once."""

    def __missing__(self, raw: str) -> str:
        self[raw] = clean(raw)
        return self[raw]


def clean(raw: str) -> str:
    """Return the name in NFC with single spaces, without marks that are never seen.

    Raises:
        ValueError: what is wrong with it.
    """
    # Our own tokenizers write a space as U+2581.
    text = UNSEEN.sub("", unicodedata.normalize("NFC", raw)).replace("\u2581", "_")
    if not text.isprintable():
        text = "".join(" " if c in BLANKS or c.isspace() else c for c in text)
        bad = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs")), None)
        if bad is not None:
            raise ValueError(f"the character U+{ord(bad):04X} is no part of a name")
    text = " ".join(text.split())
    if not text:
        raise ValueError("empty")
    if len(text) > LONGEST_NAME:
        raise ValueError(f"a name of {len(text):,} characters ({short(text)})")
    return text


def short(value: Json) -> str:
    """Return what was given, safe to print and cut where it is long."""
    text = value if isinstance(value, str) else json.dumps(value)
    cut = text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
    return (
        json.dumps(cut, ensure_ascii=not cut.isprintable()) if isinstance(value, str) else cut
    )


# --- columns ----------------------------------------------------------------------------------


def _plain(header: str) -> str:
    return re.sub(r"[\s_-]+", "", header).casefold()


def find_columns(headers: Sequence[str], asked: Columns) -> dict[str, int]:
    """Return field of Row -> place of its column.

    A file of two columns says one relation, named by the header of its objects.

    Raises:
        ValueError: a column that is not there, or can't be told.
    """
    plain = [_plain(header) for header in headers]
    found: dict[str, int] = {}
    for part, name in asked.items():
        if name is not None:
            if _plain(name) not in plain:
                raise ValueError(f"no column {short(name)} (graph.{part}_column)")
            found[part] = plain.index(_plain(name))
            continue
        known = [f"{part}label", f"{part}name", *COMMON[part], f"{part}id"]
        places = [plain.index(word) for word in known if word in plain]
        places = [place for place in places if place not in found.values()]
        if places:
            found[part] = places[0]
    missing = [part for part in PARTS if part not in found]
    if len(headers) == 2 and "relation" in missing:
        return {"subject": found.get("subject", 0), "object": found.get("object", 1)}
    if missing:
        raise ValueError(_missing(missing[0], headers, plain, found))
    twice = next((at for at in found.values() if plain.count(plain[at]) > 1), None)
    if twice is not None:
        raise ValueError(f"two columns are called {short(headers[twice])}")
    return found | _extra(plain, found)


def _missing(
    part: str, headers: Sequence[str], plain: Sequence[str], found: Mapping[str, int]
) -> str:
    """Return that a column is missing, and who has the one that looks like it."""
    taken = {plain[place]: other for other, place in found.items()}
    word = next((w for w in (f"{part}label", *COMMON[part]) if w in taken), None)
    has = (
        f", as graph.{taken[word]}_column has {short(headers[plain.index(word)])}"
        if word
        else ""
    )
    return f"no column for the {part}{has}: name it by graph.{part}_column"


def _extra(plain: Sequence[str], found: Mapping[str, int]) -> dict[str, int]:
    """Return the columns of ids and types that belong to those found."""
    extra: dict[str, int] = {}
    for part, place in found.items():
        for kind in EXTRA:
            for word in (f"{plain[place]}{kind}", f"{part}{kind}"):
                if word in plain and word != plain[place]:
                    extra.setdefault(f"{part}_{kind}", plain.index(word))
    extra.pop("relation_type", None)
    return extra


class Table:
    """Cells become rows here, whatever the format."""

    def __init__(self, path: Path, headers: Sequence[str], asked: Columns, line: int) -> None:
        self._path, self._headers, self._names = path, headers, Names()
        try:
            self._places = find_columns(headers, asked)
            self._one = None
            if "relation" not in self._places:
                self._one = clean(headers[self._places["object"]])
        except ValueError as error:
            has = ", ".join(short(header) for header in headers[:12])
            raise UserError(f"{path}: line {line}: {error}; the header has {has}") from None
        self._order = [(field, self._places.get(field)) for field in Row._fields[1:]]

    @property
    def needed(self) -> list[int]:
        """The places of the columns that every line must have."""
        return [place for name, place in self._places.items() if name in PARTS]

    def row(self, line: int, cells: Sequence[Json]) -> Row:
        """Return the fact in one line's cells."""
        values: dict[str, str | None] = {}
        for name, place in self._order:
            if place is None:
                values[name] = self._one if name == "relation" else None
                continue
            cell = cells[place]
            if name.endswith(("_id", "_type")) and cell in (None, ""):
                continue
            values[name] = self._cell(line, place, cell)
        return Row(line, **values)  # type: ignore[arg-type]

    def _cell(self, line: int, place: int, cell: Json) -> str:
        given = str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell
        try:
            if not isinstance(given, str):
                raise ValueError(f"a text is needed, not {short(cell)}")
            return self._names[given]
        except ValueError as error:
            at = f"column {place + 1} ({short(self._headers[place])})"
            raise UserError(f"{self._path}: line {line}, {at}: {error}") from None


# --- formats ----------------------------------------------------------------------------------


def _separated(file: BinaryIO, path: Path, asked: Columns) -> Iterator[Row]:
    numbered = lines(file, path)
    first = next(numbered, "")
    delimiter = _delimiter(first, path, asked)
    reader = csv.reader(_chained(first, numbered), delimiter=delimiter, strict=True)
    headers: list[str] | None = None
    table: Table | None = None
    with _explained(path) as start:
        for cells in reader:
            line, start[0] = start[0], reader.line_num + 1
            if not any(cells):  # a blank line
                continue
            if table is None or headers is None:
                headers = cells
                table = Table(path, headers, asked, line)
                continue
            if len(cells) != len(headers):
                raise UserError(_width(path, line, len(cells), len(headers)))
            yield table.row(line, cells)


def _width(path: Path, line: int, cells: int, headers: int) -> str:
    where = f"column {min(cells, headers) + 1}"
    return f"{path}: line {line}, {where}: {cells} columns where the header has {headers}"


@contextmanager
def _explained(path: Path) -> Generator[list[int]]:
    """Yield [the line where the record that comes begins]; say there what csv finds wrong."""
    start = [1]
    try:
        yield start
    except csv.Error as error:
        if "new-line character" in str(error):
            end = "a line ends with a carriage return alone: save the file with LF or CRLF"
            raise UserError(f"{path}: line {start[0]}: {end}") from None
        open_ = "limit" in str(error) or "end of data" in str(error)
        hint = " (a quote that is not closed?)" if open_ else ""
        raise UserError(f"{path}: line {start[0]}: {error}{hint}") from None


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _delimiter(header: str, path: Path, asked: Columns) -> str:
    """Return what separates the columns: the first under which the header makes sense."""
    own = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    order = [own, *(mark for mark in DELIMITERS if mark != own)]
    for mark in order:
        try:
            find_columns(next(csv.reader([header], delimiter=mark), []), asked)
        except (ValueError, csv.Error):
            continue
        return mark
    return own


def _json_lines(file: BinaryIO, path: Path, asked: Columns) -> Iterator[Row]:
    table: Table | None = None
    headers: list[str] = []
    for number, text in enumerate(lines(file, path), start=1):
        if not text.strip():
            continue
        record = _object(text, path, number)
        if table is None:
            headers = list(record)
            table = Table(path, headers, asked, number)
        needed = [headers[place] for place in table.needed if headers[place] not in record]
        if needed:
            raise UserError(f"{path}: line {number}: the object has no {short(needed[0])}")
        yield table.row(number, [record.get(header) for header in headers])


def _object(text: str, path: Path, number: int) -> dict[str, Json]:
    try:
        return json_object(text)
    except ValueError as error:
        raise UserError(f"{path}: line {number}{error}") from None


def _graphml(file: BinaryIO, path: Path, asked: Columns) -> Iterator[Row]:
    table = Table(path, triple_xml.HEADERS, dict.fromkeys(PARTS), 1)
    for line, cells in triple_xml.edges(file, path, asked["relation"]):
        yield table.row(line, cells)


READERS = {
    ".csv": _separated,
    ".tsv": _separated,
    ".tab": _separated,
    ".txt": _separated,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".graphml": _graphml,
}
