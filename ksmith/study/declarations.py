"""What a study file and its overrides say, sorted by what it is for, not yet checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ksmith.settings import SECTIONS, Names
from ksmith.settings.words import show
from ksmith.study.mistakes import Mistakes, Where
from ksmith.study.source import Source

TOP = ("name", "question", "seed", *SECTIONS, "grid", "zip", "when", "exclude", "finding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One raw value."""

    value: Any
    where: Where
    folder: Path  # what a path is relative to
    raw: str | None = None  # the text itself, from the command line


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The values of one name. Axes of one `group` vary together."""

    name: str
    items: list[Given]
    where: Where
    group: str  # unique to an axis of its own, shared in a [[zip]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A [[when]] or an [[exclude]]."""

    conditions: dict[str, Given]
    sets: dict[str, Given]
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A [[finding]]: its values, and the conditions of those of its sides that are tables."""

    given: dict[str, Given]
    conditions: dict[str, dict[str, Given]]
    whole: bool  # all names in its conditions are known
    where: Where


@dataclass(slots=True)
class Declarations:
    """Everything that a study says. Several axes of one name are a mistake found later."""

    text: dict[str, Given] = field(default_factory=dict[str, Given])  # name, question
    values: dict[str, Given] = field(default_factory=dict[str, Given])
    axes: list[Axis] = field(default_factory=list[Axis])
    whens: list[Rule] = field(default_factory=list[Rule])
    excludes: list[Rule] = field(default_factory=list[Rule])
    claims: list[Claim] = field(default_factory=list[Claim])
    notes: list[str] = field(default_factory=list[str])


def collect(source: Source, names: Names, mistakes: Mistakes) -> Declarations:
    """Return what the file says; unknown names and things in the wrong place are noted."""
    reader = _Reader(source, names, mistakes)
    for key, value in source.data.items():
        reader.top(key, value)
    return reader.found


class _Reader:
    def __init__(self, source: Source, names: Names, mistakes: Mistakes) -> None:
        self.source = source
        self.names = names
        self.mistakes = mistakes
        self.found = Declarations()

    def top(self, key: str, value: Any) -> None:
        if key in ("name", "question"):
            self.found.text[key] = self._given(value, key)
        elif key == "seed":
            self.found.values[key] = self._given(value, key)
        elif key not in TOP:
            self._unknown_top(key, value)
        elif key in ("zip", "when", "exclude", "finding"):
            self._tables(key, value)
        elif not isinstance(value, dict):
            self.mistakes.add(self.source.at(key), f"{key} must be a table: write [{key}]")
        elif key == "grid":
            self._grid(value, ("grid",), "")
        elif key == "method":
            self._methods(value)
        else:
            self._section(value, (key,))

    def _unknown_top(self, key: str, value: Any) -> None:
        if key in self.names.owners:  # known, and still not there: it was quoted
            section, _, leaf = key.rpartition(".")
            message = f'"{key}" in quotes is one name: write {leaf} under [{section}]'
            self.mistakes.add(self.source.at(key), message)
            return
        what = f"[{key}]" if isinstance(value, dict | list) else key
        near = None if isinstance(value, dict) else self.names.nearest(key)
        if near is None:
            meant = nearest(key, TOP)
            near = f"[{meant}]" if meant in (*SECTIONS, "grid") else meant
        if isinstance(value, dict) and key in self._method_names():
            near = f"[method.{key}]"
        allowed = f"there are {', '.join(TOP)}"
        self.mistakes.add(self.source.at(key), _no(what, near, allowed))

    def _section(self, table: dict[str, Any], path: tuple[str, ...]) -> None:
        for key, value in table.items():
            name = ".".join((*path, key))
            if self._known(name, (*path, key), value):
                self.found.values[name] = self._given(value, *path, key)

    def _methods(self, table: dict[str, Any]) -> None:
        known = self._method_names()
        for key, value in table.items():
            where = self.source.at("method", key)
            if not isinstance(value, dict):
                message = f"[method] holds only tables: write [method.{_one_of(known)}]"
                self.mistakes.add(where, f"method.{key}: {message}")
            elif key not in known:
                near = nearest(key, known)
                message = _no(f"method {show(key)}", near, f"there are {', '.join(known)}")
                self.mistakes.add(where, message)
            else:
                self._method(key, value)

    def _method(self, method: str, table: dict[str, Any]) -> None:
        values = {key: value for key, value in table.items() if key != "grid"}
        self._section(values, ("method", method))
        grid = table.get("grid", {})
        path = ("method", method, "grid")
        if isinstance(grid, dict):
            self._grid(grid, path, f"method.{method}.", empty="grid" in table)
        else:
            message = f"method.{method}.grid must be a table: write [method.{method}.grid]"
            self.mistakes.add(self.source.at(*path), message)

    def _method_names(self) -> list[str]:
        return list(self.names.owners["task.method"]["task"].choices)

    def _grid(
        self, table: dict[str, Any], path: tuple[str, ...], start: str, *, empty: bool = True
    ) -> None:
        if not table and empty:
            where = self.source.at(*path)
            message = f"[{'.'.join(path)}] is empty: name an axis, or leave the table out"
            self.mistakes.add(where, message)
        for name, keys, value in _flat(table, self.names, start):
            axis = self._axis(name, (*path, *keys), value, group=f"{'.'.join(path)} {name}")
            if axis is not None:
                self.found.axes.append(axis)

    def _axis(
        self, name: str, path: tuple[str | int, ...], value: Any, group: str
    ) -> Axis | None:
        where = self.source.at(*path)
        if not self._known(name, path, value):
            return None
        if not isinstance(value, list):
            message = f"{name} is an axis and needs a list of values, not {show(value)}"
            self.mistakes.add(where, message)
            return None
        items = [self._given(item, *path, index) for index, item in enumerate(value)]
        if not items:
            self.mistakes.add(where, f"{name} has no values: give one, or leave the axis out")
            return None
        return Axis(name=name, items=items, where=where, group=group)

    def _tables(self, key: str, value: Any) -> None:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            message = f"{key} must be a list of tables: write [[{key}]]"
            self.mistakes.add(self.source.at(key), message)
            return
        for index, table in enumerate(value):
            path = (key, index)
            if not table:
                self.mistakes.add(self.source.at(*path), f"[[{key}]] is empty")
            elif key == "zip":
                self._zip(table, path)
            elif key == "exclude":
                self.found.excludes.append(self._rule(table, path, {}, path))
            elif key == "finding":
                self.found.claims.append(self._claim(table, path))
            else:
                self._when(table, path)

    def _zip(self, table: dict[str, Any], path: tuple[str | int, ...]) -> None:
        group = f"zip {path[1]}"
        for name, keys, value in _flat(table, self.names, ""):
            axis = self._axis(name, (*path, *keys), value, group)
            if axis is not None:
                self.found.axes.append(axis)

    def _when(self, table: dict[str, Any], path: tuple[str | int, ...]) -> None:
        example = 'write if = { "task.scale" = "> 10" } and set = { "task.draws" = 3 }'
        for key in table:
            if key not in ("if", "set"):
                where = self.source.at(*path, key)
                self.mistakes.add(where, f"[[when]] has only if and set, not {key}: {example}")
        parts = [table.get("if"), table.get("set")]
        if not all(isinstance(part, dict) and part for part in parts):
            self.mistakes.add(self.source.at(*path), f"[[when]] needs if and set: {example}")
            return
        rule = self._rule(parts[0], (*path, "if"), parts[1], (*path, "set"))
        self.found.whens.append(rule)

    def _claim(self, table: dict[str, Any], path: tuple[str | int, ...]) -> Claim:
        before = len(self.mistakes.found)
        conditions = {
            key: self._named(value, (*path, key))
            for key, value in table.items()
            if isinstance(value, dict)
        }
        return Claim(
            given={key: self._given(value, *path, key) for key, value in table.items()},
            conditions=conditions,
            whole=len(self.mistakes.found) == before,
            where=self.source.at(*path),
        )

    def _rule(
        self,
        conditions: Any,
        at_conditions: tuple[str | int, ...],
        sets: Any,
        at_sets: tuple[str | int, ...],
    ) -> Rule:
        return Rule(
            conditions=self._named(conditions, at_conditions),
            sets=self._named(sets, at_sets),
            where=self.source.at(*at_conditions[:2]),
        )

    def _named(self, table: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Given]:
        return {
            name: self._given(value, *path, *keys)
            for name, keys, value in _flat(table, self.names, "")
            if self._known(name, (*path, *keys), value)
        }

    def _known(self, name: str, path: tuple[str | int, ...], value: Any) -> bool:
        message = unknown(name, self.names, value)
        if message:
            self.mistakes.add(self.source.at(*path), message)
        return not message

    def _given(self, value: Any, *path: str | int) -> Given:
        return Given(value=value, where=self.source.at(*path), folder=self.source.folder)


def _flat(
    table: Mapping[str, Any], names: Names, start: str, keys: tuple[str, ...] = ()
) -> list[tuple[str, tuple[str, ...], Any]]:
    """Return (dotted name, keys, value): task.scale in quotes or not is the same axis."""
    found: list[tuple[str, tuple[str, ...], Any]] = []
    for key, value in table.items():
        name = start + ".".join((*keys, key))
        deeper = any(known.startswith(name + ".") for known in names.owners)
        if isinstance(value, dict) and value and deeper:
            found += _flat(value, names, start, (*keys, key))
        else:
            found.append((name, (*keys, key), value))
    return found


# --- unknown names ----------------------------------------------------------------------------


def nearest(given: str, known: Sequence[str]) -> str | None:
    """Return which of `known` was probably meant, or None."""
    return next(iter(get_close_matches(given[:100], known, 1, 0.6)), None)


def _one_of(known: Sequence[str]) -> str:
    return known[0] if known else "name"


def _no(what: str, near: str | None, allowed: str) -> str:
    return f"no {what}; did you mean {near}? {allowed}" if near else f"no {what}; {allowed}"


def unknown(name: str, names: Names, value: Any) -> str:
    """Return the message for a name that no setting has, or nothing for a known one."""
    if name in names.owners:
        return ""
    near = names.nearest(name)
    shown = name if all(part.isidentifier() for part in name.split(".")) else show(name)
    section = name.rpartition(".")[0]
    here = names.of_section(section)
    if section in SECTIONS and name.endswith(".grid") and isinstance(value, dict):
        example = f'"{section}.{next(iter(value), here[0])}" = [...]'
        return f"[{section}.grid] is no table: write axes as {example} under [grid]"
    if not section:
        allowed = 'write the full name, such as "task.scale"'
    elif here:
        allowed = f"{section} has {', '.join(here)}"
    else:
        allowed = f"names begin with {', '.join(SECTIONS)} or are seed"
    return _no(f"setting {shown}", near, allowed)
