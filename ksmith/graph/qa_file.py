"""Questions and answers, one JSON object a line: TOFU's layout. Read line by line and checked.

Maini et al., "TOFU: A Task of Fictitious Unlearning for LLMs", COLM 2024, arXiv:2401.06121.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, ValidationError, ValidationInfo, field_validator

from ksmith.graph.record_file import (
    SHOWN,
    SHOWN_ERRORS,
    Checked,
    Stripped,
    Text,
    explained,
    json_object,
)
from ksmith.records import Json, UserError, file_digest

LONGEST = 1 << 20  # characters of a line: no more of one is ever held in memory
MARKS = re.compile(r"[\s.?!:\u2026]+$")  # that may end a question, or be left out
BROKEN = re.compile("[\udc80-\udcff]")  # what stands for a byte that is no UTF-8


def _spaced(text: str) -> str:
    """Return the text in one line: greedy text ends where a line does.

    Raises:
        ValueError: a character in it that no text has, such as NUL.
    """
    text = " ".join(text.split())
    if not text.isprintable():
        for one in text:
            if unicodedata.category(one) == "Cc":
                raise ValueError(f"a control character (U+{ord(one):04X}): not text")
    return text


def _visible(text: str) -> str:
    if not any(one.isprintable() for one in text if one != " "):
        raise ValueError("nothing in it that can be seen")
    return text


Line = Annotated[Text, AfterValidator(_spaced), AfterValidator(_visible)]
PerhapsLine = Annotated[Stripped, AfterValidator(_spaced)]


class Pair(Checked):
    """One line of the file."""

    question: Line
    answer: Line
    subject: PerhapsLine = (
        ""  # whom it is about: questions that share one go together in intervals
    )
    paraphrased_question: PerhapsLine = ""
    paraphrased_answer: PerhapsLine = ""
    perturbed_answer: tuple[Line, ...] = ()  # wrong ones

    @field_validator("perturbed_answer")
    @classmethod
    def _wrong(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Return the wrong answers, without those that say what a right one says.

        Raises:
            ValueError: none is left of those that there are.
        """
        own = [info.data.get(name, "") for name in ("answer", "paraphrased_answer")]
        right = {_same(text) for text in own if text}
        wrong = tuple(answer for answer in given if _same(answer) not in right)
        if given and not wrong:
            raise ValueError(f"{short(given[0])} is the right answer; a wrong one is needed")
        return wrong


class Numbered(NamedTuple):
    """A pair and its line, from 1."""

    line: int
    pair: Pair


@dataclass(frozen=True, slots=True)
class PairFile:
    """The pairs of one file."""

    name: str  # the setting that names it
    path: Path
    pairs: tuple[Numbered, ...]


def read(name: str, path: Path, digest: str | None = None) -> PairFile:
    """Return the pairs of the file, in order; empty lines are skipped.

    Raises:
        UserError: no such file, another file than that of `digest`, no pair, or lines that are
            in no such layout, are too long, or ask what another asks; the message names them.
    """
    pairs: list[Numbered] = []
    wrong: list[str] = []
    more = 0
    first: dict[str, Numbered] = {}
    for line, text in _lines(name, path):
        if not pairs and not more and text.lstrip().startswith("["):
            raise UserError(
                f"{path}: line {line}: a JSON list: JSON lines are needed, each an object of a "
                "question and its answer"
            )
        found = _parsed(line, text)
        if isinstance(found, Pair):
            again = first.setdefault(key(found), Numbered(line, found))
            if again.line == line:
                pairs.append(again)
                continue
            same = "the same" if again.pair.answer == found.answer else "another"
            found = [
                f"line {line}: asks what line {again.line} asks, with {same} answer: "
                f"{short(found.question)}"
            ]
        wrong += found[: SHOWN_ERRORS - len(wrong)]
        more += len(found)
    if wrong:
        rest = [f"and {more - len(wrong):,} more"] if more > len(wrong) else []
        raise UserError("\n".join(f"{path}: {text}" for text in (*wrong, *rest)))
    if not pairs:
        raise UserError(f"graph.{name}: {path} has no question and answer: the set is empty")
    if digest is not None and file_digest(path) != digest:
        raise UserError(f"{path}: changed since the study was made (its digest is another)")
    return PairFile(name, path, tuple(pairs))


def check_apart(files: list[PairFile]) -> None:
    """Do nothing where no question is in two of the files.

    Raises:
        UserError: the questions that are, with their lines.
    """
    seen: dict[str, tuple[PairFile, int]] = {}
    wrong: list[str] = []
    for other, file in combinations(files, 2):
        if file.path.samefile(other.path):
            raise UserError(
                f"graph.{other.name} and graph.{file.name} are one file, {file.path}: what is to "
                f"be in one set can't be in the other"
            )
    for file in files:
        for line, pair in file.pairs:
            other, at = seen.setdefault(key(pair), (file, line))
            if other is not file:
                wrong.append(
                    f"graph.{other.name} and graph.{file.name} overlap: {other.path}, line {at}, "
                    f"and {file.path}, line {line}, ask the same: {short(pair.question)}"
                )
    if wrong:
        more = len(wrong) - SHOWN_ERRORS
        rest = [f"and {more:,} more questions are in two sets"] if more > 0 else []
        raise UserError("\n".join([*wrong[:SHOWN_ERRORS], *rest]))


def key(pair: Pair) -> str:
    """Return what makes two questions the same, however they are written.

    Upper case, marks at the end and the ways in which Unicode writes one letter make no
    difference.
    """
    return _same(pair.question)


def _same(text: str) -> str:
    text = unicodedata.normalize("NFC", text).casefold()
    return MARKS.sub("", text) or text


def short(text: str) -> str:
    """Return the text for a message."""
    return repr(text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}...")


def _lines(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, each with its number."""
    number = 0
    try:
        # Bytes that are no UTF-8 come as they are, so that their line can be told.
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            while text := file.readline(LONGEST + 1):
                number += 1
                if len(text) > LONGEST:
                    raise UserError(
                        f"{path}: line {number} is longer than {LONGEST:,} characters: one JSON "
                        "object a line is needed, a question and its answer"
                    )
                if broken := BROKEN.search(text):
                    byte = ord(broken[0]) - 0xDC00
                    raise UserError(
                        f"{path}: line {number}, column {broken.start() + 1}: not UTF-8 (byte "
                        f"0x{byte:02X})"
                    )
                if text.strip():
                    yield number, text
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise UserError(f"graph.{name}: {path}: {reason}") from None


def _parsed(line: int, text: str) -> Pair | list[str]:
    """Return the pair, or what is wrong with it."""
    try:
        row = json_object(text)
    except ValueError as error:
        return [f"line {line}{error}"]
    try:
        return Pair.model_validate_json(text)
    except ValidationError as error:
        return [_with_names(row, wrong) for wrong in explained(f"line {line}", error)]


def _with_names(row: Mapping[str, Json], wrong: str) -> str:
    """Return what is wrong; where something is missing, with what there is instead."""
    if not wrong.endswith("Field required"):
        return wrong
    there = ", ".join(row) or "nothing"
    return (
        f"{wrong}; the line has {there if len(there) <= SHOWN else f'{there[: SHOWN - 3]}...'}"
    )
