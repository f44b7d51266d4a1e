"""CounterFact's public file format, read and checked.

Meng et al., "Locating and Editing Factual Associations in GPT", NeurIPS 2022.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from ksmith.graph import record_file
from ksmith.graph.record_file import Checked, Text
from ksmith.records import UserError


def _one_slot(text: str) -> str:
    if text.count("{}") != 1:
        raise ValueError("needs exactly one {} for the subject")
    return text


Template = Annotated[Text, AfterValidator(_one_slot)]


class Target(Checked):
    """An object, as text; its Wikidata id is not used."""

    str: Text


class Rewrite(Checked):
    """The fact that a record edits."""

    prompt: Template
    relation_id: Text
    subject: Text
    target_true: Target
    target_new: Target


class CounterFactRecord(Checked):
    """One record of the file."""

    case_id: int
    requested_rewrite: Rewrite
    paraphrase_prompts: tuple[Text, ...]
    neighborhood_prompts: tuple[Text, ...]
    attribute_prompts: tuple[Text, ...]
    generation_prompts: tuple[Text, ...] = ()


def read(path: Path, digest: str | None = None) -> list[CounterFactRecord]:
    """Return the records of the file.

    Raises:
        UserError: no such file, another file than that of `digest`, or not in the format; the
            message names the record (from 1) and the field.
    """
    records, errors = record_file.read(path, CounterFactRecord, "CounterFact", digest)
    twice = [case for case, n in Counter(r.case_id for r in records).items() if n > 1]
    errors += [f"case_id {case} is used more than once" for case in twice]
    errors += [
        f"case_id {record.case_id}: target_new is target_true, {rewrite.target_new.str!r}"
        for record in records
        if (rewrite := record.requested_rewrite).target_new == rewrite.target_true
    ]
    if errors:
        raise UserError(record_file.listed(path, errors))
    return records
