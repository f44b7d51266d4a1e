"""`--set key=value`: what the command line puts in the place of a study file's values."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ksmith.settings import Names
from ksmith.settings.words import cut
from ksmith.study.declarations import Axis, Declarations, Given, unknown
from ksmith.study.mistakes import Mistakes, Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One `--set key=value`."""

    keys: tuple[str, ...]
    value: Any  # as TOML reads it, else the text
    raw: str
    where: Where


def read_overrides(texts: Sequence[str], mistakes: Mistakes) -> list[Override]:
    """Return what the texts say; one without an equals sign or a key is noted."""
    read = [_read(text, number, mistakes) for number, text in enumerate(texts)]
    return [item for item in read if item is not None]


def _read(text: str, number: int, mistakes: Mistakes) -> Override | None:
    where = Where(1, number, f"--set {cut(text, 80)}")
    key, equals, raw = _split(text)
    keys = _keys(key)
    if not equals or not keys:
        mistakes.add(where, "write --set key=value, such as --set task.scale=10")
        return None
    return Override(keys=keys, value=_value(raw), raw=raw, where=where)


def _split(text: str) -> tuple[str, str, str]:
    """Return the key, the equals sign and the value: a quoted part of a key may hold an '='."""
    found = re.match(r"""((?:"[^"]*"|'[^']*'|[^="'])*)(=)(.*)""", text, re.DOTALL)
    return (found[1].strip(), found[2], found[3].strip()) if found else (text, "", "")


def _keys(text: str) -> tuple[str, ...]:
    table = _loads(f"{text} = 0") if "\n" not in text else None
    keys: list[str] = []
    while isinstance(table, dict) and len(table) == 1:
        key, table = next(iter(table.items()))
        keys.append(key)
    return tuple(keys) if table == 0 else ()


def _value(raw: str) -> Any:
    table = _loads(f"value = {raw}")
    return table["value"] if table is not None and list(table) == ["value"] else raw


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def override(
    found: Declarations, given: Sequence[Override], names: Names, mistakes: Mistakes
) -> None:
    """Put the values of the command line in the place of those of the file."""
    for item in given:
        name, is_axis = _target(item)
        new = Given(value=item.value, where=item.where, folder=Path.cwd(), raw=item.raw)
        if name in ("name", "question"):
            found.text[name] = new
        elif item.keys[0] in ("zip", "when", "exclude", "finding"):
            message = f"[[{item.keys[0]}]] can only be changed in the file"
            mistakes.add(item.where, message)
        elif message := unknown(name, names, item.value):
            mistakes.add(item.where, message)
        else:
            _replace(found, name, new, names, is_axis=is_axis)


def _target(item: Override) -> tuple[str, bool]:
    """Return the dotted name, and whether it was named as an axis."""
    keys = item.keys
    if keys[:1] == ("grid",) and len(keys) > 1:
        return ".".join(keys[1:]), True
    if keys[:1] == ("method",) and keys[2:3] == ("grid",) and len(keys) > 3:
        return ".".join(keys[:2] + keys[3:]), True
    return ".".join(keys), False


def _replace(
    found: Declarations, name: str, new: Given, names: Names, *, is_axis: bool
) -> None:
    old = [axis for axis in found.axes if axis.name == name]
    if old or is_axis:
        found.values.pop(name, None)
        items = _items(new, is_list=any(item.is_list for item in names.owners[name].values()))
        _replace_axis(found, name, items, new.where, old)
    else:
        found.values[name] = new
    for index, rule in enumerate(found.whens):
        if name in rule.sets:
            left = {key: value for key, value in rule.sets.items() if key != name}
            found.whens[index] = replace(rule, sets=left)
            found.notes.append(f"{new.where.text} stands above the [[when]] that sets {name}")


def _items(new: Given, *, is_list: bool) -> list[Given]:
    """Return the values of an axis; one value that is no list is an axis of one value."""
    several = isinstance(new.value, list) and (
        not is_list or all(isinstance(item, list) for item in new.value)
    )
    return [replace(new, value=item, raw=None) for item in new.value] if several else [new]


def _replace_axis(
    found: Declarations, name: str, items: list[Given], where: Where, old: list[Axis]
) -> None:
    group = old[0].group if old else f"grid {name}"
    partners = [axis for axis in found.axes if axis.group == group and axis.name != name]
    if partners and len(items) == 1:  # one value is no longer varied with the others
        group = f"grid {name}"
    new = Axis(name=name, items=items, where=where, group=group)
    at = found.axes.index(old[0]) if old else len(found.axes)
    found.axes = [axis for axis in found.axes if axis.name != name]
    found.axes.insert(at, new)
