"""A study file and the `--set`s beside it, as raw values that know where they come from."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ksmith.records import StudyError
from ksmith.settings.words import cut
from ksmith.study import places
from ksmith.study.mistakes import Where, line

LARGEST = 1_000_000  # bytes: a study file of more is some other file

POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
LONG_NUMBER = re.compile(r"[\d_]{4300,}")
HINTS = {
    "Invalid value": "a value must be a number, true, false, a list, a date or a quoted string",
    "Cannot overwrite a value": "the same name stands there twice",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A study file as read."""

    path: Path
    text: str
    data: dict[str, Any]
    lines: Mapping[places.Path, int]

    @property
    def folder(self) -> Path:
        """What the paths in the file are relative to."""
        return self.path.absolute().parent

    def at(self, *path: str | int) -> Where:
        """Return where `path` stands, or the nearest table around it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return _where(self.path, self.lines[path[:end]])
        return _where(self.path, 1)


def _where(path: Path, number: int) -> Where:
    return Where(0, number, f"{path}:{number}")


def read_file(path: Path) -> Source:
    """Return the file's content.

    Raises:
        StudyError: no such file, not a text, not TOML.
    """
    text = _text(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(_syntax(path, text, str(error))) from None
    except RecursionError:
        raise StudyError(line(_where(path, 1), "lists or tables nest too deeply")) from None
    except ValueError:  # Python refuses to read numbers of more than 4300 digits
        found = LONG_NUMBER.search(text)
        number = text.count("\n", 0, found.start()) + 1 if found else 1
        raise StudyError(line(_where(path, number), "a number has too many digits")) from None
    return Source(path=path, text=text, data=data, lines=places.places(text))


def _text(path: Path) -> str:
    label = Where(0, 0, str(path))
    try:
        if path.is_dir():
            raise StudyError(line(label, "is a folder, not a study file"))
        if not path.is_file():
            raise StudyError(line(label, "no such study file"))
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise StudyError(line(label, f"cannot be read: {reason}")) from None
    if len(content) > LARGEST:
        raise StudyError(line(label, f"is larger than {LARGEST:,} bytes: not a study file"))
    try:
        # A byte order mark is no mistake of the user's: some editors write one.
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        where = _where(path, content.count(b"\n", 0, error.start) + 1)
        given = content[error.start : error.start + 1].hex()
        raise StudyError(line(where, f"byte 0x{given} is not UTF-8 text")) from None


def _syntax(path: Path, text: str, message: str) -> str:
    found = POSITION.search(message)
    number = int(found[1]) if found and found[1] else text.count("\n", 0, len(text) - 1) + 1
    short = POSITION.sub("", message)
    hint = next((f" ({hint})" for start, hint in HINTS.items() if short.startswith(start)), "")
    lines = text.split("\n")
    given = lines[number - 1].strip() if number <= len(lines) else ""
    shown = f": {cut(given)}" if given else ""
    return line(_where(path, max(number, 1)), f"not TOML: {short}{shown}{hint}")
