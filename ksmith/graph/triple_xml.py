"""The edges of a GraphML file as facts, read as a stream.

A document type is refused before anything in it is read: entities that are put in for one
another can grow without end, and external ones would open files and addresses.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

from ksmith.records import Json, UserError

HEADERS = (
    "subject",
    "relation",
    "object",
    "subject_id",
    "object_id",
    "subject_type",
    "object_type",
)
CHUNK = 1 << 16  # bytes read at once
LONGEST = 1 << 20  # bytes of one tag, or characters of one text
NAMES = ("label", "name", "title")  # data of a node that is its name
TYPES = ("type", "class", "kind")
RELATIONS = ("relation", "predicate", "property", "label", "type", "name")  # data of an edge

Data = dict[str, str]


class _Refused(Exception):
    """What is wrong, for a message with a place."""


class Reader:
    """Nodes and edges as the parser tells them."""

    def __init__(self) -> None:
        self.nodes: dict[str, Data] = {}
        self.edges: list[tuple[int, Data, Data]] = []  # line, attributes, data
        self._keys: dict[str, str] = {}  # key -> attr.name
        self._data: Data | None = None  # of the open node or edge
        self._key: str | None = None
        self._text: list[str] = []
        self._size = 0
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _doctype(self, *_: object) -> None:
        raise _Refused("a document type or entity: refused, a GraphML file needs none")

    def _start(self, tag: str, attributes: Data) -> None:
        name = tag.rpartition(" ")[2]
        if name == "key":
            shown = attributes.get("attr.name", attributes.get("id", ""))
            self._keys[attributes.get("id", "")] = shown.casefold()
        elif name == "node":
            if "id" not in attributes:
                raise _Refused("a node without id")
            self._data = self.nodes.setdefault(attributes["id"], {})
        elif name == "edge":
            if "source" not in attributes or "target" not in attributes:
                raise _Refused("an edge without source or target")
            self._data = {}
            self.edges.append((self.parser.CurrentLineNumber, attributes, self._data))
        elif name == "data":
            key = attributes.get("key", "")
            self._key = self._keys.get(key, key.casefold())
            self._text, self._size = [], 0

    def _end(self, tag: str) -> None:
        name = tag.rpartition(" ")[2]
        if name == "data" and self._key is not None:
            if self._data is not None:
                self._data[self._key] = "".join(self._text)
            self._key = None
        elif name in ("node", "edge"):
            self._data = None

    def _characters(self, text: str) -> None:
        if self._key is None:
            return
        self._size += len(text)
        if self._size > LONGEST:
            raise _Refused(f"a text longer than {LONGEST:,} characters")
        self._text.append(text)


def edges(
    file: BinaryIO, path: Path, relation: str | None = None
) -> Iterator[tuple[int, tuple[Json, ...]]]:
    """Yield the line and the cells, as in HEADERS, of each edge.

    `relation` names the data of an edge that is its relation.

    Raises:
        UserError: not XML, not GraphML, a document type, or a tag or text that is too long.
    """
    found = Reader()
    _feed(found, file, path)
    for line, attributes, data in found.edges:
        named = [relation.casefold()] if relation else RELATIONS
        says = next((data[key] for key in named if key in data), None)
        if says is None:
            wanted = " or ".join(named)
            raise UserError(
                f"{path}: line {line}: an edge without data for its relation ({wanted})"
            )
        ends = [attributes["source"], attributes["target"]]
        lost = next((end for end in ends if end not in found.nodes), None)
        if lost is not None:
            raise UserError(
                f"{path}: line {line}: an edge to a node that is not there: {lost!r}"
            )
        told = [found.nodes[end] for end in ends]
        names = [_first(data, NAMES, end) for data, end in zip(told, ends, strict=True)]
        types = [_first(data, TYPES, None) for data in told]
        yield line, (names[0], says, names[1], *ends, *types)


def _first(data: Data, keys: tuple[str, ...], default: str | None) -> str | None:
    return next((data[key] for key in keys if data.get(key)), default)


def _feed(found: Reader, file: BinaryIO, path: Path) -> None:
    parser, fed = found.parser, 0
    try:
        while chunk := file.read(CHUNK):
            parser.Parse(chunk, False)
            fed += len(chunk)
            if fed - max(parser.CurrentByteIndex, 0) > LONGEST:
                raise _Refused(f"a tag longer than {LONGEST:,} bytes")
        parser.Parse(b"", True)
    except (expat.ExpatError, _Refused) as error:
        line, column = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        what = expat.ErrorString(error.code) if isinstance(error, expat.ExpatError) else error
        raise UserError(f"{path}: line {line}, column {column}: {what}") from None
    if not found.edges:
        raise UserError(f"{path}: no edges in it: not GraphML, or a graph without facts")
