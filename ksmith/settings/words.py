"""Values and types as people write them, for messages and tables."""

import json
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

LONGEST = 60  # characters of a value in a message
FEW = 8  # items of a list in a message
GUARD = 10**9  # bounds as large as this only stop slips of the hand: no news for a reader

NAMES = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
    bool: ("true or false", "true or false"),
}


def show(value: Any, depth: int = 3) -> str:
    """Return `value` as TOML writes it, cut where it is long: safe to print whatever it is."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if value.bit_length() < 200 else "an integer of very many digits"
    if isinstance(value, str):
        return cut(json.dumps(value, ensure_ascii=not value.isprintable()))
    if isinstance(value, list | tuple):
        return _list(value, depth)
    if isinstance(value, Mapping):
        return "a table"
    return cut(str(value))


def _list(value: list[Any] | tuple[Any, ...], depth: int) -> str:
    if depth == 0:
        return "[...]"
    items = [show(item, depth - 1) for item in value[:FEW]]
    return f"[{', '.join(items + ['...'] * (len(value) > FEW))}]"


def cut(text: str, longest: int = LONGEST) -> str:
    """Return `text`, with dots where it is too long for a message."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def bare(kind: Any) -> Any:
    """Return an annotation without what Annotated adds to it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def without_none(hint: Any) -> tuple[Any, bool]:
    """Return an annotation without `| None`, and whether None was one of its parts."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    rest = [part for part in get_args(hint) if part is not type(None)]
    if len(rest) != 1:
        raise TypeError(f"a setting has one type, or one and None: {hint}")
    return rest[0], True


def choices(kind: Any) -> tuple[Any, ...]:
    """Return the values of a closed list, of one item for a list of them, else nothing."""
    plain = bare(kind)
    if get_origin(plain) is Literal:
        return get_args(plain)
    if get_origin(plain) is tuple:
        return choices(get_args(plain)[0])
    return ()


def type_name(kind: Any) -> str:
    """Return an annotation in words: `a whole number >= 1`."""
    plain = bare(kind)
    if get_origin(plain) is tuple:
        return f"a list of {_several(get_args(plain)[0])}"
    if get_origin(plain) is Literal:
        return either([show(value) for value in get_args(plain)])
    return NAMES[plain][0] + _bounds(kind)


def _several(kind: Any) -> str:
    plain = bare(kind)
    if get_origin(plain) is Literal:
        return "names out of " + ", ".join(map(str, get_args(plain)))
    return NAMES[plain][1] + _bounds(kind)


def either(texts: list[str]) -> str:
    """Return `a, b or c`."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def _bounds(kind: Any) -> str:
    parts = [text for part in _constraints(kind) for text in _bound(part)]
    return f" {' and '.join(parts)}" if parts else ""


def _constraints(kind: Any) -> list[Any]:
    if get_origin(kind) is not Annotated:
        return []
    # A pydantic Field keeps its constraints in `metadata`.
    return [item for part in get_args(kind)[1:] for item in getattr(part, "metadata", [part])]


def _bound(part: Any) -> Iterator[str]:
    for name, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
        limit = getattr(part, name, None)
        if limit is not None and abs(limit) < GUARD:
            yield f"{sign} {limit}"
