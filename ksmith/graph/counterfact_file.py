"""CounterFact's public file format, read and checked.

Meng et al., "Locating and Editing Factual Associations in GPT", NeurIPS 2022.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from ksmith.records import Json, UserError, file_digest

SHOWN_ERRORS = 5


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair: not text") from None
    return text


def _one_slot(text: str) -> str:
    if text.count("{}") != 1:
        raise ValueError("needs exactly one {} for the subject")
    return text


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_encodable)
]
Template = Annotated[Text, AfterValidator(_one_slot)]


class _Checked(BaseModel):
    # Other fields (pararel_idx) are in the format, but not for us.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Target(_Checked):
    """An object, as text; its Wikidata id is not used."""

    str: Text


class Rewrite(_Checked):
    """The fact that a record edits."""

    prompt: Template
    relation_id: Text
    subject: Text
    target_true: Target
    target_new: Target


class CounterFactRecord(_Checked):
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
    rows = _rows(path)
    if digest is not None and file_digest(path) != digest:
        raise UserError(f"{path}: changed since the study was made (its digest is another)")
    records: list[CounterFactRecord] = []
    errors: list[str] = []
    for number, row in enumerate(rows, start=1):
        try:
            records.append(CounterFactRecord.model_validate_json(json.dumps(row)))
        except (ValidationError, ValueError) as error:
            errors += _explained(number, error)
    twice = [case for case, n in Counter(r.case_id for r in records).items() if n > 1]
    errors += [f"case_id {case} is used more than once" for case in twice]
    errors += [
        f"case_id {record.case_id}: target_new is target_true, {rewrite.target_new.str!r}"
        for record in records
        if (rewrite := record.requested_rewrite).target_new == rewrite.target_true
    ]
    if errors:
        raise UserError(_listed(path, errors))
    return records


def _rows(path: Path) -> list[Json]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"graph.path: no such file: {path}") from None
    except IsADirectoryError:
        raise UserError(f"graph.path: a folder, not a file: {path}") from None
    except OSError as error:
        raise UserError(f"graph.path: {path}: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(rows, list):
        raise UserError(f"{path}: a list of CounterFact records is needed, not {_kind(rows)}")
    return rows


def _kind(value: Json) -> str:
    names = {dict: "an object", str: "a text", type(None): "null", bool: "true or false"}
    return names.get(type(value), "a number")


def _explained(number: int, error: ValidationError | ValueError) -> list[str]:
    if not isinstance(error, ValidationError):
        return [f"record {number}: {error}"]
    found: list[str] = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        given = "" if item["type"] == "missing" else f"; given {_short(item['input'])}"
        found.append(f"record {number}: {where or 'the record'}: {message}{given}")
    return found


def _short(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _listed(path: Path, errors: Sequence[str]) -> str:
    more = len(errors) - SHOWN_ERRORS
    shown = [*errors[:SHOWN_ERRORS], *([f"and {more:,} more"] if more > 0 else [])]
    return "\n".join(f"{path}: {error}" for error in shown)
