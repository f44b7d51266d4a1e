"""Where each key of a TOML text stands: `tomllib` reads values but forgets their lines."""

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress

Path = tuple[str | int, ...]

SPACE = re.compile(r"[ \t]*")
GAP = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
BARE_VALUE = re.compile(r"[^,\]}#\n]*")
STRINGS = (  # the long ones first: '"""' also begins like '"'
    ('"""', re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL)),
    ("'''", re.compile(r"'''.*?'{3,5}", re.DOTALL)),
    ('"', re.compile(r'"(?:[^"\\]|\\.)*"')),
    ("'", re.compile(r"'[^']*'")),
)


def places(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every table, key and list item of a valid TOML text.

    A table that is named several times stands where it is named first. Where the text nests too
    deeply to follow, the lines found so far.
    """
    walk = _Walk(text)
    with suppress(RecursionError, ValueError):  # a line less is no reason to refuse a study
        walk.document()
    return walk.found


class _Walk:
    """One walk through a text that `tomllib` has read: what is here need not be valid twice."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}  # path of a [[list]] -> index of its last table
        self._newlines = [match.start() for match in re.finditer("\n", text)]

    def document(self) -> None:
        table: Path = ()
        self._skip(GAP)
        while self.at < len(self.text):
            if self._peek("["):
                table = self._header()
            else:
                self._pair(table)
            self._skip(GAP)

    def _header(self) -> Path:
        listed = self._peek("[[")
        self.at += 2 if listed else 1
        line = self._line()
        keys = self._keys()
        self.at += 2 if listed else 1
        path: Path = ()
        for key in keys[:-1]:
            path = self._current((*path, key), line)
        path = (*path, keys[-1])
        if not listed:
            return self._current(path, line)
        self._note(path, line)
        self._tables[path] = self._tables.get(path, -1) + 1
        path = (*path, self._tables[path])
        self._note(path, line)
        return path

    def _current(self, path: Path, line: int) -> Path:
        """Return `path`, of the last table where it is a list of tables."""
        self._note(path, line)
        return (*path, self._tables[path]) if path in self._tables else path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, line)
        self.at += 1  # the equals sign
        self._skip(SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self._peek("."):
            self.at += 1
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        self._skip(SPACE)
        quoted = self.text[self.at] in "\"'"
        start = self.at
        if quoted:
            self._string()
        else:
            self._skip(BARE_KEY)
        raw = self.text[start : self.at]
        self._skip(SPACE)
        return next(iter(tomllib.loads(f"{raw} = 0"))) if quoted else raw

    def _value(self, path: Path) -> None:
        if self._peek("["):
            self._items(path)
        elif self._peek("{"):
            self._inline(path)
        elif not self._string():
            self._skip(BARE_VALUE)

    def _items(self, path: Path) -> None:
        self._next()
        index = 0
        while not self._peek("]"):
            item = (*path, index)
            self._note(item, self._line())
            self._value(item)
            self._comma()
            index += 1
        self.at += 1

    def _inline(self, path: Path) -> None:
        self._next()
        while not self._peek("}"):
            self._pair(path)
            self._comma()
        self.at += 1

    def _next(self) -> None:
        self.at += 1
        self._skip(GAP)

    def _comma(self) -> None:
        self._skip(GAP)
        if self._peek(","):
            self._next()

    def _string(self) -> bool:
        """Return whether a string starts here, and pass it."""
        for start, whole in STRINGS:
            if self._peek(start):
                self._skip(whole)
                return True
        return False

    def _note(self, path: Path, line: int) -> None:
        self.found.setdefault(path, line)

    def _line(self) -> int:
        return bisect_right(self._newlines, self.at - 1) + 1

    def _peek(self, start: str) -> bool:
        return self.text.startswith(start, self.at)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"not TOML at character {self.at}")
        self.at = match.end()
