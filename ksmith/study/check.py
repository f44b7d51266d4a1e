"""Declarations checked against the settings: right types, every name where it belongs."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ksmith.records import canonical
from ksmith.settings import Declared, Names, fields
from ksmith.settings.words import either, show
from ksmith.study.conditions import Test, read_condition
from ksmith.study.declarations import Axis, Declarations, Given, Rule, nearest
from ksmith.study.mistakes import Mistakes, Where

SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
TEXTS = ("name", "question")  # never an axis
SELECTORS = ("task.method", "graph.source")  # decide which other names there are
START = Where(0, 0, "default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A checked value."""

    value: Any
    where: Where = START
    folder: Path = Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Axes that vary together: row i holds their i-th values."""

    names: tuple[str, ...]
    rows: list[tuple[Value, ...]]
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A [[when]] or an [[exclude]]: `sets` where all conditions hold."""

    conditions: dict[str, tuple[Test, ...]]  # one of the tests of each name
    sets: dict[str, Value]
    where: Where
    text: str  # as people read it


@dataclass(slots=True)
class Plan:
    """A study that can be expanded."""

    name: str
    question: str
    values: dict[str, Value]
    groups: list[Group] = field(default_factory=list[Group])
    whens: list[Checked] = field(default_factory=list[Checked])
    excludes: list[Checked] = field(default_factory=list[Checked])
    notes: list[str] = field(default_factory=list[str])


def check(found: Declarations, names: Names, start: Where, mistakes: Mistakes) -> Plan:
    """Return what was declared, checked; `start` is where missing things are noted."""
    return _Checker(found, names, start, mistakes).plan()


class _Checker:
    def __init__(
        self, found: Declarations, names: Names, start: Where, mistakes: Mistakes
    ) -> None:
        self.found = found
        self.names = names
        self.start = start
        self.mistakes = mistakes
        self.notes = found.notes
        self.chosen = {  # section -> the owners of its settings that some trial has
            "graph": self._sources(),
            "model": self._models(),
            "method": self._given_texts("task.method"),
        }

    def plan(self) -> Plan:
        plan = Plan(
            name=self._name(),
            question=self._text("question", ""),
            values=self._values(),
            groups=self._groups(),
            whens=[rule for item in self.found.whens if (rule := self._rule(item)).sets],
            excludes=[self._rule(item) for item in self.found.excludes],
            notes=self.notes,
        )
        self._unused_methods()
        if not self.chosen["method"] and not self.mistakes.mention("task.method", "[task]"):
            known = either([show(name) for name in self._of("task.method").choices])
            message = f"task.method is missing; write it under [task] or [grid]: {known}"
            self.mistakes.add(self.start, message)
        return plan

    # --- what is chosen -----------------------------------------------------------------------

    def _all_given(self, name: str) -> list[Given]:
        items = [item for axis in self.found.axes if axis.name == name for item in axis.items]
        return [*items, *([self.found.values[name]] if name in self.found.values else [])]

    def _given_texts(self, name: str) -> set[str]:
        return {item.value for item in self._all_given(name) if isinstance(item.value, str)}

    def _sources(self) -> set[str]:
        if not self._all_given("graph.source"):
            return {"synthetic"}
        known = set(self._of("graph.source").choices)
        return self._given_texts("graph.source") & known or known

    def _models(self) -> set[str]:
        """Return who the model's settings belong to: a study has recipes, or loads models."""
        load, recipe = self._all_given("model.load"), self._all_given("model.recipe")
        if not (load and recipe):
            return {"load"} if load else {"recipe"}
        asked = {way for way, given in (("load", load), ("recipe", recipe)) if _by_hand(given)}
        if len(asked) == 1 and not any(axis.name in LOADED for axis in self.found.axes):
            return asked
        last = max(load + recipe, key=lambda item: item.where)
        message = "model.recipe and model.load exclude each other: train a model, or load one"
        self.mistakes.add(last.where, message)
        return {"load", "recipe"}

    def _owners(self, name: str) -> dict[str, Declared]:
        """Return who of those that are chosen has the setting."""
        section = name.partition(".")[0]
        owners = self.names.owners[name]
        if section == "method" or section not in self.chosen or name in SELECTORS:
            return owners
        return {key: item for key, item in owners.items() if key in self.chosen[section]}

    def _of(self, name: str) -> Declared:
        return next(iter(self.names.owners[name].values()))

    def _homeless(self, name: str, where: Where) -> bool:
        """Return whether nobody that is chosen has the setting; that is a mistake or a note."""
        if self._owners(name):
            return False
        section = name.partition(".")[0]
        if section == "model":
            others = (
                "a trained model" if "recipe" in self.names.owners[name] else "a loaded model"
            )
            reason = (
                f"belongs to {others}, and this study has {MODELS[min(self.chosen[section])]}"
            )
        else:
            theirs, ours = (
                either(sorted(x)) for x in (self.names.owners[name], self.chosen[section])
            )
            reason = f"belongs to the source {theirs}, and this study's is {ours}"
        if where.rank == 0 and self._section_replaced(section):
            self.notes.append(f"{where.text}: {name} is left out: it {reason}")
        else:
            self.mistakes.add(where, f"{name} {reason}")
        return True

    def _section_replaced(self, section: str) -> bool:
        deciding = ("model.load", "model.recipe") if section == "model" else ("graph.source",)
        return any(_by_hand(self._all_given(name)) for name in deciding)

    # --- values -------------------------------------------------------------------------------

    def _name(self) -> str:
        name = self._text("name", None)
        if name is not None and not SLUG.fullmatch(name):
            allowed = "letters, digits, - and _, at most 64, a letter or digit first"
            where = self.found.text["name"].where
            self.mistakes.add(where, f"name = {show(name)}: must be made of {allowed}")
        return name or ""

    def _text(self, key: str, default: str | None) -> Any:
        if key not in self.found.text:
            if default is None and not self.mistakes.mention(f"did you mean {key}?"):
                self.mistakes.add(self.start, f'{key} is missing: write {key} = "..." on top')
            return default
        given = self.found.text[key]
        value = self._value(Declared(name=key, kind=str, default=default), key, given)
        return value.value if value else None

    def _values(self) -> dict[str, Value]:
        values: dict[str, Value] = {}
        axes = {axis.name: axis for axis in self.found.axes}
        for name, given in self.found.values.items():
            if name in axes:
                other = f"it is an axis, too ({axes[name].where.text}): keep one of the two"
                self.mistakes.add(given.where, f"{name} is given one value here; {other}")
            elif not self._homeless(name, given.where):
                value = self._owned(name, given)
                if value:
                    values[name] = value
        return values

    def _owned(self, name: str, given: Given, *, item: bool = False) -> Value | None:
        """Return the value as each of its owners reads it, or None after a mistake."""
        read = [self._value(own, name, given, item=item) for own in self._owners(name).values()]
        return None if None in read else read[0]

    def _value(
        self, setting: Declared, name: str, given: Given, *, item: bool = False
    ) -> Value | None:
        allowed = ""
        for value in _readings(setting, given):
            try:
                checked = fields.plain(setting, fields.check(setting, value))
                return Value(value=checked, where=given.where, folder=given.folder)
            except ValueError as error:
                allowed = allowed or str(error)
        hint = _hint(setting, name, given.value, item=item)
        self.mistakes.add(given.where, f"{name} = {show(given.value)}: {allowed}{hint}")
        return None

    # --- axes ---------------------------------------------------------------------------------

    def _groups(self) -> list[Group]:
        self._twice()
        together: dict[str, list[Axis]] = {}
        for axis in self.found.axes:
            if not axis.items:
                self.mistakes.add(axis.where, f"{axis.name} has no values")
            elif not self._homeless(axis.name, axis.where):
                together.setdefault(axis.group, []).append(axis)
        groups = [self._group(axes) for axes in together.values()]
        return [group for group in groups if group is not None]

    def _twice(self) -> None:
        seen: dict[str, Axis] = {}
        for axis in self.found.axes:
            first = seen.setdefault(axis.name, axis)
            if first is not axis:
                message = f"{axis.name} is an axis already ({first.where.text})"
                self.mistakes.add(axis.where, message)

    def _group(self, axes: list[Axis]) -> Group | None:
        columns = [self._column(axis) for axis in axes]
        lengths = [len(axis.items) for axis in axes]
        if len(set(lengths)) > 1:
            counts = ", ".join(f"{axis.name} has {len(axis.items)}" for axis in axes)
            where = max(axis.where for axis in axes)
            self.mistakes.add(where, f"zipped axes need as many values each: {counts}")
        elif not any(column is None for column in columns):
            rows = list(zip(*[column for column in columns if column is not None], strict=True))
            names = tuple(axis.name for axis in axes)
            return Group(names=names, rows=rows, where=axes[0].where)
        return None

    def _column(self, axis: Axis) -> list[Value] | None:
        values = [self._owned(axis.name, item, item=True) for item in axis.items]
        read = [value for value in values if value is not None]
        if axis.group.startswith("zip "):
            return read if len(read) == len(values) else None
        counts = Counter(canonical(value.value) for value in read)
        for value in read:
            if counts.pop(canonical(value.value), 0) > 1:
                message = f"{axis.name} has the value {show(value.value)} twice"
                self.mistakes.add(value.where, message)
        return read if len(read) == len(values) else None

    # --- rules --------------------------------------------------------------------------------

    def _rule(self, rule: Rule) -> Checked:
        conditions = {
            name: read_condition(self._owners(name) or self.names.owners[name], name, given)
            for name, given in rule.conditions.items()
        }
        for name, (_, message) in conditions.items():
            if message:
                self.mistakes.add(rule.conditions[name].where, f"{name} {message}")
        sets = {
            name: value
            for name, given in rule.sets.items()
            if self._may_set(name, given) and (value := self._owned(name, given))
        }
        tests = {name: found for name, (found, _) in conditions.items()}
        text = _rule_text(tests, sets)
        return Checked(conditions=tests, sets=sets, where=rule.where, text=text)

    def _may_set(self, name: str, given: Given) -> bool:
        if name in SELECTORS:
            message = f"{name} decides which axes there are: [[when]] can't set it; use [grid]"
            self.mistakes.add(given.where, message)
            return False
        return not self._homeless(name, given.where)

    def _unused_methods(self) -> None:
        names = [*self.found.values, *(axis.name for axis in self.found.axes)]
        given = {name.split(".")[1] for name in names if name.startswith("method.")}
        for method in sorted(given - self.chosen["method"]):
            if self.chosen["method"]:
                self.notes.append(f"settings of {method} are given, but no trial uses it")


MODELS = {"recipe": "a model that is trained", "load": "one that is loaded"}
LOADED = ("model.load", "model.recipe")


def _by_hand(given: Iterable[Given]) -> bool:
    return any(item.where.rank for item in given)


def _readings(setting: Declared, given: Given) -> list[Any]:
    """Return the ways to read a value: `--set model.revision=1234567` means the text."""
    if given.raw is not None and setting.is_text and not isinstance(given.value, str):
        return [given.value, given.raw]
    return [given.value]


def _hint(setting: Declared, name: str, value: Any, *, item: bool) -> str:
    if isinstance(value, str) and setting.choices and not setting.is_list:
        near = nearest(value, setting.choices)
        return f"; did you mean {show(near)}?" if near else ""
    if isinstance(value, list) and not setting.is_list and not item and name not in TEXTS:
        return f'; a list here is one value: to vary it, write "{name}" = [...] under [grid]'
    if item and setting.is_list and not isinstance(value, list):
        return "; an axis of lists is a list of lists, such as [[0], [0, 1]]"
    if isinstance(value, list) and setting.choices:
        wrong = next((part for part in value if part not in setting.choices), None)
        return f"; {show(wrong)} is none of them" if wrong is not None else ""
    return ""


def _rule_text(conditions: Mapping[str, tuple[Test, ...]], sets: Mapping[str, Value]) -> str:
    """Return a rule in one line and in full: two texts are the same if the rules are."""
    tests = {name: " or ".join(map(str, found)) for name, found in conditions.items()}
    condition = ", ".join(f"{name} {text}" for name, text in tests.items())
    effect = ", ".join(f"{name} = {canonical(value.value)}" for name, value in sets.items())
    return f"if {condition}: {effect}" if sets else condition
