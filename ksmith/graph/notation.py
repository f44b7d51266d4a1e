"""Rules as people read and write them: `father(a, b) & spouse(b, c) -> mother(a, c)`."""

import re
from collections.abc import Collection

from ksmith.graph.rules import Rule
from ksmith.records import Json, UserError

ATOM = r"\s*(.+?)\(\s*([a-z])\s*,\s*([a-z])\s*\)\s*"  # a name may have brackets of its own
SHAPE = re.compile(f"{ATOM}(?:&{ATOM})?->{ATOM}")
ALLOWED = '"r(a, b) -> q(b, a)" or "r(a, b) & s(b, c) -> q(a, c)"'


def written(rule: Rule) -> str:
    """Return the rule as `ksmith graph rules` prints it."""
    if len(rule.body) == 1:
        return f"{rule.body[0]}(a, b) -> {rule.head}(b, a)"
    first, second = rule.body
    return f"{first}(a, b) & {second}(b, c) -> {rule.head}(a, c)"


def told(rule: Rule) -> dict[str, Json]:
    """Return the rule and, where it was mined, how often it holds: for an outcome."""
    found = {"rule": written(rule), "support": rule.support, "confidence": rule.confidence}
    found["mirror"] = True if rule.mirror else None
    return {name: value for name, value in found.items() if value is not None}


def parse(text: str, relations: Collection[str]) -> Rule:
    """Return the rule that `text` writes.

    Raises:
        UserError: another shape, or a relation that is none of `relations`.
    """
    match = SHAPE.fullmatch(text)
    if match is None:
        raise UserError(f"graph.rules: {text!r} is no rule; write {ALLOWED}")
    atoms = [part for part in match.groups() if part is not None]
    names, letters = (
        atoms[::3],
        "".join(a + b for a, b in zip(atoms[1::3], atoms[2::3], strict=True)),
    )
    if _shape(letters) not in ("abba", "abbcac"):
        raise UserError(
            f"graph.rules: {text!r} is an inverse or composition of no kind: {ALLOWED}"
        )
    for name in names:
        if name not in relations:
            there = ", ".join(sorted(relations)[:20])
            raise UserError(f"graph.rules: {text!r}: no relation {name!r}; there are {there}")
    return Rule(body=tuple(names[:-1]), head=names[-1], cut=len(names) - 2, loops=False)


def _shape(letters: str) -> str:
    """Return the variables, named a, b, c by when they come first."""
    order = dict.fromkeys(letters)
    return letters.translate(str.maketrans(dict(zip(order, "abcdefgh", strict=False))))
