"""Questions and answers, one JSON object a line: TOFU's layout. Read line by line and checked.

Maini et al., "TOFU: A Task of Fictitious Unlearning for LLMs", COLM 2024, arXiv:2401.06121.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, ValidationError

from ksmith.graph.record_file import SHOWN_ERRORS, Checked, Stripped, Text, explained
from ksmith.records import UserError, file_digest

LONGEST = 1 << 20  # characters of a line: no more of one is ever held in memory


def _spaced(text: str) -> str:
    """Return the text in one line: greedy text ends where a line does."""
    return " ".join(text.split())


Line = Annotated[Text, AfterValidator(_spaced)]
PerhapsLine = Annotated[Stripped, AfterValidator(_spaced)]


class Pair(Checked):
    """One line of the file."""

    question: Line
    answer: Line
    paraphrased_question: PerhapsLine = ""
    paraphrased_answer: PerhapsLine = ""
    perturbed_answer: tuple[Line, ...] = ()  # wrong ones


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
    first: dict[str, int] = {}
    for line, text in _lines(name, path):
        found = _parsed(line, text)
        if isinstance(found, Pair):
            again = first.setdefault(key(found), line)
            if again == line:
                pairs.append(Numbered(line, found))
                continue
            found = [f"line {line}: asks what line {again} asks: {short(found.question)}"]
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
    """Return what makes two questions the same, however they are written."""
    return pair.question.casefold()


def short(text: str) -> str:
    """Return the text for a message."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _lines(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, each with its number."""
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            while text := file.readline(LONGEST + 1):
                number += 1
                if len(text) > LONGEST:
                    raise UserError(
                        f"{path}: line {number} is longer than {LONGEST:,} characters: one JSON "
                        "object a line is needed, a question and its answer"
                    )
                if text.strip():
                    yield number, text
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: after line {number}: not UTF-8: {error.reason}") from None
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise UserError(f"graph.{name}: {path}: {reason}") from None


def _parsed(line: int, text: str) -> Pair | list[str]:
    """Return the pair, or what is wrong with it."""
    try:
        return Pair.model_validate_json(text)
    except ValidationError as error:
        return explained(f"line {line}", error)
