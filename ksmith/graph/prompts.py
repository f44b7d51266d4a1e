"""Prompts of a benchmark taken apart: a sentence before, a template, a subject."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ksmith.graph.counterfact_file import CounterFactRecord

SENTENCE_END = re.compile(r"""[.!?]["'\u201d\u2019)]*\s+|\n\s*""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """`lead`, if any, then the template with its subject."""

    template: str
    subject: str
    lead: str = ""


def templates(records: Iterable[CounterFactRecord]) -> dict[str, tuple[str, ...]]:
    """Return relation -> its templates: those of rewrites, then those of paraphrases.

    A paraphrase begins with a sentence of another text. Where no known template ends it, what
    follows the last end of a sentence is taken for one, if two paraphrases agree on it or a
    neighbourhood or attribute prompt has it too.
    """
    rows = list(records)
    known: dict[str, dict[str, None]] = {}
    for row in rows:
        rewrite = row.requested_rewrite
        known.setdefault(rewrite.relation_id, {})[rewrite.prompt] = None
    plain = _plain_prompts(rows)
    for (relation, template), count in _guesses(rows, known).items():
        if count > 1 or any(fitted(text, [template]) for text in plain[relation]):
            known[relation][template] = None
    return {relation: tuple(found) for relation, found in known.items()}


def _guesses(
    rows: Iterable[CounterFactRecord], known: Mapping[str, Iterable[str]]
) -> Counter[tuple[str, str]]:
    """Return (relation, last clause) of paraphrases that no known template ends, counted."""
    guesses: Counter[tuple[str, str]] = Counter()
    for row in rows:
        relation, subject = row.requested_rewrite.relation_id, row.requested_rewrite.subject
        for text in row.paraphrase_prompts:
            if ended(text, subject, known[relation]) is None:
                guess = _last_clause(text, subject)
                if guess is not None:
                    guesses[relation, guess] += 1
    return guesses


def ended(text: str, subject: str, known: Iterable[str]) -> Parsed | None:
    """Return the longest of `known` that, with `subject`, ends `text`; the rest is the lead."""
    for template in sorted(known, key=len, reverse=True):
        clause = template.replace("{}", subject, 1)
        before = text[: len(text) - len(clause)]
        if text.endswith(clause) and (not before or before[-1].isspace()):
            return Parsed(template=template, subject=subject, lead=" ".join(before.split()))
    return None


def fitted(text: str, known: Iterable[str]) -> Parsed | None:
    """Return the longest of `known` that, with some subject, is the whole of `text`."""
    for template in sorted(known, key=len, reverse=True):
        before, after = template.split("{}")
        subject = text[len(before) : len(text) - len(after)]
        if text == f"{before}{subject}{after}" and subject and subject == subject.strip():
            return Parsed(template=template, subject=subject)
    return None


def slotted(text: str, subject: str, after: str | None = None) -> str | None:
    """Return `text` with `{}` in place of its last `subject`; None where that isn't possible.

    `after` is what must follow the subject to the end. Not possible: the text has no such
    subject, or a `{}` of its own before it, so that putting the subject back would give another
    text.
    """
    tail = "" if after is None else after
    if not text.endswith(tail):
        return None
    start = text.rfind(subject, 0, len(text) - len(tail))
    if start < 0 or "{}" in text[:start]:
        return None
    return f"{text[:start]}{{}}{text[start + len(subject) :]}"


def _last_clause(text: str, subject: str) -> str | None:
    slot = slotted(text, subject)
    if slot is None:
        return None
    before, _, after = slot.partition("{}")
    ends = [match.end() for match in SENTENCE_END.finditer(before)]
    clause = f"{before[ends[-1] if ends else 0 :]}{{}}{after}"
    return clause if clause.count("{}") == 1 and len(clause) > len("{}") else None


def _plain_prompts(records: Iterable[CounterFactRecord]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record in records:
        group = found.setdefault(record.requested_rewrite.relation_id, [])
        group += [*record.neighborhood_prompts, *record.attribute_prompts]
    return found
