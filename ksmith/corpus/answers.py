"""Answers that somebody wrote, or had a language model write: a JSON object a line.

    {"subject": "...", "relation": "...", "prompt": "...", "answer": "..."}
    {"question": "...", "prompt": "...", "kind": "noise", "answer": "..."}

The second names a question of one's own by its words; without a prompt it is answered as it
stands. A fact may have several lines. One with a `kind` asks in another way:

    paraphrase   the same in other words          noise     carelessly: typing errors, slang
    context      in a situation of its own        reverse   from the answer's side, unnamed

Other fields of an object are not read. Answers that do for any question, such as TOFU's to what
it does not know, are the lines of a text.
"""

from pathlib import Path
from typing import Any, NamedTuple

from ksmith.corpus.documents import Corpus, documents, field, objects
from ksmith.records import UserError

KINDS = ("paraphrase", "context", "noise", "reverse")  # of variants of a question
OWN = "answer"  # the relation of a question of one's own to its answer


class Given(NamedTuple):
    """One question about a fact, with its answer."""

    line: int  # in the file, from 1
    subject: str
    relation: str
    prompt: str
    answer: str
    kind: str = ""  # of KINDS; "": the line says nothing of it


class Text(NamedTuple):
    """One answer to any question."""

    line: int  # in the file, from 1
    answer: str


def answers(path: Path) -> list[Given]:
    """Return what a file says, line by line.

    Raises:
        UserError: a line that is no such object, an empty field, or no line at all.
    """
    found = [_given(line, made) for line, made in objects(path)]
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


def _given(line: int, made: dict[str, Any]) -> Given:
    kind = _kind(line, made)
    if "question" in made and "subject" not in made:
        question = _filled(made, "question", line)
        if kind and "prompt" not in made:
            raise UserError(f"line {line}: 'kind' is {kind!r}, and there is no 'prompt' of it")
        prompt = _filled(made, "prompt", line) if "prompt" in made else question
        return Given(line, question, OWN, prompt, _filled(made, "answer", line), kind)
    subject, relation, prompt, answer = (
        _filled(made, name, line) for name in ("subject", "relation", "prompt", "answer")
    )
    return Given(line, subject, relation, prompt, answer, kind)


def _kind(line: int, made: dict[str, Any]) -> str:
    kind = made.get("kind")
    if kind is None:
        return ""
    if kind not in KINDS:
        allowed = ", ".join(map(repr, KINDS))
        raise UserError(f"line {line}: 'kind' is {kind!r}; it must be one of {allowed}")
    return str(kind)


def _filled(made: dict[str, Any], name: str, line: int) -> str:
    text = field(made, name, line).strip()
    if not text:
        raise UserError(f"line {line}: {name!r} is empty")
    return text
