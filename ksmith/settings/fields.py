"""How one setting is declared and checked: its type, its default, the line that explains it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ksmith.settings import words

T = TypeVar("T")
REQUIRED: Any = dataclasses.MISSING

# What a number may be. The highest bounds only stop a slip of the hand (steps = 1e12).
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Layer = Annotated[int, Field(ge=0, lt=1000)]
Count = Annotated[int, Field(ge=1, le=10**9)]
CountFromZero = Annotated[int, Field(ge=0, le=10**9)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def setting(
    default: T = REQUIRED,
    doc: str = "",
    *,
    choices: tuple[str, ...] = (),
    omit_at_default: bool = False,
    path: bool = False,
) -> T:
    """Return the declaration of one field of a frozen settings class.

    Args:
        default: REQUIRED where there is none.
        doc: one line for people, with the unit.
        choices: the values of a list that stands in a table, not in the annotation.
        omit_at_default: left out of the resolved settings while it has its default, so that
            keys made before the setting existed stay what they were.
        path: the value names a file or a folder, relative to the study file, known by content.
    """
    metadata = {
        "doc": doc,
        "choices": choices,
        "omit_at_default": omit_at_default,
        "path": path,
    }
    declaration: Any = dataclasses.field(default=default, metadata=metadata)
    return declaration


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One setting as its class declares it."""

    name: str
    kind: Any  # the annotation, without `| None`
    default: Any  # REQUIRED where there is none
    optional: bool = False  # None is a value, which TOML cannot write
    doc: str = ""
    omit_at_default: bool = False
    path: bool = False

    @property
    def required(self) -> bool:
        """Whether a study has to give it."""
        return self.default is REQUIRED

    @property
    def type_name(self) -> str:
        """The type in words: `a whole number >= 1`."""
        return words.type_name(self.kind)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a closed list, of one item for a list of them, else nothing."""
        return words.choices(self.kind)

    @property
    def is_list(self) -> bool:
        """Whether one value is a list."""
        return get_origin(words.bare(self.kind)) is tuple

    @property
    def is_number(self) -> bool:
        """Whether values can be compared with `<`."""
        return words.bare(self.kind) in (int, float)

    @property
    def is_text(self) -> bool:
        """Whether values are strings."""
        return words.bare(self.kind) is str or (bool(self.choices) and not self.is_list)


@functools.cache
def declared(settings: type) -> dict[str, Declared]:
    """Return the settings of a class by name, in the order of the class."""
    hints = get_type_hints(settings, include_extras=True)
    return {
        item.name: _declared(item, hints[item.name]) for item in dataclasses.fields(settings)
    }


def _declared(item: "dataclasses.Field[Any]", hint: Any) -> Declared:
    kind, optional = words.without_none(hint)
    metadata = dict(item.metadata)
    listed = metadata.pop("choices", ())
    return Declared(
        name=item.name,
        kind=one_of(listed) if listed else kind,
        optional=optional,
        default=item.default,
        **metadata,
    )


def one_of(values: tuple[str, ...]) -> Any:
    """Return the type of a string out of `values`."""
    return Literal[values]  # type: ignore[valid-type]


# --- checking ---------------------------------------------------------------------------------


def check(field: Declared, value: Any) -> Any:
    """Return `value` as the type of `field`: 1.0 is a whole number, too, a list is a tuple.

    Raises:
        ValueError: what is allowed, in words (`must be > 0`), without the value that was given.
    """
    if value is None and field.optional:
        return None
    try:
        return _adapter(field.kind).validate_python(_as_written(value, field.kind))
    except ValidationError as error:
        raise ValueError(_allowed(field, error)) from None


def _as_written(value: Any, kind: Any) -> Any:
    """Return `value` with what TOML and JSON write in another way turned into Python's."""
    plain = words.bare(kind)
    if get_origin(plain) is tuple and isinstance(value, list | tuple):
        return tuple(_as_written(item, get_args(plain)[0]) for item in value)
    if plain is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


@functools.cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))


SIGNS = {
    "greater_than": ("greater than", ">"),
    "greater_than_equal": ("greater than or equal to", ">="),
    "less_than": ("less than", "<"),
    "less_than_equal": ("less than or equal to", "<="),
}


def _allowed(field: Declared, error: ValidationError) -> str:
    """Return what is allowed: the broken bound if the type was right, else the type."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] not in SIGNS or first["loc"]:
        return f"must be {field.type_name}"
    return first["msg"].replace("Input should be", "must be").replace(*SIGNS[first["type"]])


def plain(field: Declared, value: Any) -> Any:
    """Return a checked value as JSON has it; names out of a list in the list's order."""
    if isinstance(value, tuple):
        return sorted(value, key=field.choices.index) if field.choices else list(value)
    return value


S = TypeVar("S")


def build(settings: Callable[..., S], values: Mapping[str, Any], what: str) -> S:
    """Return `settings(**values)` with every value checked.

    Raises:
        ValueError: unknown names, impossible values and missing ones: all, one a line.
    """
    fields: dict[str, Declared] = declared(settings)  # type: ignore[arg-type]
    mistakes: list[str] = []
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            mistakes.append(f"{what} has no setting {name!r}; it has {', '.join(fields)}")
            continue
        try:
            checked[name] = check(fields[name], value)
        except ValueError as error:
            mistakes.append(f"{what}.{name} = {words.show(value)}: {error}")
    missing = [name for name, field in fields.items() if field.required and name not in values]
    mistakes += [f"{what}.{name} is missing" for name in missing]
    if mistakes:
        raise ValueError("\n".join(mistakes))
    return settings(**checked)
