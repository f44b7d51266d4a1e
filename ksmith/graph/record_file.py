"""Records of a benchmark in a JSON file: read and checked, each mistake with its record."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from ksmith.records import Json, UserError, file_digest

SHOWN_ERRORS = 5
SHOWN = 60  # characters of what a file says


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair: not text") from None
    return text


Stripped = Annotated[
    str, StringConstraints(strip_whitespace=True), AfterValidator(_encodable)
]  # may be empty
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_encodable)
]


class Checked(BaseModel):
    """A record, or a part of one; what else a file says of it is not used."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


Kind = TypeVar("Kind", bound=Checked)


def read(
    path: Path, kind: type[Kind], benchmark: str, digest: str | None
) -> tuple[list[Kind], list[str]]:
    """Return the records of the file that are in the format, and what is wrong with the others.

    Raises:
        UserError: no such file, another file than that of `digest`, or no list of records.
    """
    rows = _rows(path, benchmark)
    if digest is not None and file_digest(path) != digest:
        raise UserError(f"{path}: changed since the study was made (its digest is another)")
    records: list[Kind] = []
    errors: list[str] = []
    for number, row in enumerate(rows, start=1):
        try:
            records.append(kind.model_validate_json(json.dumps(row)))
        except (ValidationError, ValueError) as error:
            errors += explained(f"record {number}", error)
    return records, errors


def listed(path: Path, errors: Sequence[str]) -> str:
    """Return the first errors, one a line, and how many more there are."""
    more = len(errors) - SHOWN_ERRORS
    shown = [*errors[:SHOWN_ERRORS], *([f"and {more:,} more"] if more > 0 else [])]
    return "\n".join(f"{path}: {error}" for error in shown)


def _rows(path: Path, benchmark: str) -> list[Json]:
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
        raise UserError(f"{path}: a list of {benchmark} records is needed, not {_kind(rows)}")
    return rows


def _kind(value: Json) -> str:
    names = {dict: "an object", str: "a text", type(None): "null", bool: "true or false"}
    return names.get(type(value), "a number")


def explained(record: str, error: ValidationError | ValueError) -> list[str]:
    """Return what is wrong with a record, a line each; `record` says which one it is."""
    if not isinstance(error, ValidationError):
        return [f"{record}: {error}"]
    found: list[str] = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        given = "" if item["type"] == "missing" else f"; given {_short(item['input'])}"
        found.append(f"{record}: {where or 'the record'}: {message}{given}")
    return found


def json_object(text: str) -> dict[str, Json]:
    """Return the JSON object that one line is.

    Raises:
        ValueError: it is none, or names something twice; the message says where.
    """
    try:
        found = json.loads(text.rstrip(), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f", column {error.colno}: not JSON: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise ValueError(f": not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f": an object is needed, not {_short(found)}")
    return found


def _once(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    """Return the object of `pairs`; of two values under one name nobody knows which counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"{_short(next(n for n in names if names.count(n) > 1))} is there twice"
        )
    return found


def _short(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
