"""Answers that somebody wrote, or had a language model write: a JSON object a line.

    {"subject": "...", "relation": "...", "prompt": "...", "answer": "..."}

A fact may have several lines. Other fields of an object are not read.
"""

from pathlib import Path
from typing import NamedTuple

from ksmith.corpus.documents import field, objects
from ksmith.records import UserError


class Given(NamedTuple):
    """One question about a fact, with its answer."""

    line: int  # in the file, from 1
    subject: str
    relation: str
    prompt: str
    answer: str


def answers(path: Path) -> list[Given]:
    """Return what a file says, line by line.

    Raises:
        UserError: a line that is no such object, an empty field, or no line at all.
    """
    found = [
        Given(line, *(_filled(made, name, line) for name in Given._fields[1:]))
        for line, made in objects(path)
    ]
    if not found:
        raise UserError("no answers in it")
    return found


def _filled(made: dict[str, object], name: str, line: int) -> str:
    text = field(made, name, line).strip()
    if not text:
        raise UserError(f"line {line}: {name!r} is empty")
    return text
