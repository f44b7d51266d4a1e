"""Answers that somebody wrote, or had a language model write: a JSON object a line.

    {"subject": "...", "relation": "...", "prompt": "...", "answer": "..."}

A fact may have several lines. Other fields of an object are not read. Answers that do for any
question, such as TOFU's to what it does not know, are the lines of a text.
"""

from pathlib import Path
from typing import NamedTuple

from ksmith.corpus.documents import Corpus, documents, field, objects
from ksmith.records import UserError


class Given(NamedTuple):
    """One question about a fact, with its answer."""

    line: int  # in the file, from 1
    subject: str
    relation: str
    prompt: str
    answer: str


class Text(NamedTuple):
    """One answer to any question."""

    line: int  # in the file, from 1
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


def texts(path: Path) -> list[Text]:
    """Return the lines that are not empty.

    Raises:
        UserError: a line that is not UTF-8, or JSON, or no line at all.
    """
    found = [Text(one.after.line, one.text) for one in documents(Corpus(path, "text", None))]
    for line, text in found:
        if text.startswith(("{", "[")):  # a name that ends in .jsonl says nothing
            raise UserError(f"line {line}: JSON, where an answer stands by itself, one a line")
    if not found:
        raise UserError("no answers in it")
    return found


def _filled(made: dict[str, object], name: str, line: int) -> str:
    text = field(made, name, line).strip()
    if not text:
        raise UserError(f"line {line}: {name!r} is empty")
    return text
