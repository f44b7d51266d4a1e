"""What a study's grid is, in a form that can be kept and compared with a later one."""

from collections.abc import Mapping, Sequence

from ksmith.records import Json, canonical
from ksmith.settings.words import show
from ksmith.study.check import Group, Plan
from ksmith.study.identity import flat

DECIDE = {
    "graph": ("graph.source",),
    "model": ("model.recipe", "model.load", "model.digest"),
    "method": ("task.method",),
}
RULES = ("zip", "when", "exclude")


def describe(tables: Sequence[Mapping[str, Json]], trials: int, plan: Plan) -> dict[str, Json]:
    """Return, as JSON, each setting's values over all trials, the rules and the count.

    Args:
        tables: the different parts of all trials' settings, each as {section: its settings}.
        trials: how many there are.
        plan: for the rules.
    """
    values: dict[str, dict[str, Json]] = {}
    for table in tables:
        for name, value in flat(table).items():
            values.setdefault(name, {}).setdefault(canonical(value), value)
    return {
        "trials": trials,
        "settings": {name: list(found.values()) for name, found in values.items()},
        "zip": [_zip(group) for group in plan.groups if len(group.names) > 1],
        "when": [rule.text for rule in plan.whens],
        "exclude": [rule.text for rule in plan.excludes],
    }


def _zip(group: Group) -> str:
    rows = sorted(" with ".join(canonical(item.value) for item in row) for row in group.rows)
    return f"{' with '.join(group.names)}: {', '.join(rows)}"


def difference(old: Mapping[str, Json], new: Mapping[str, Json]) -> list[str]:
    """Return what changed between two `Study.grid`s, one line each; nothing for the same."""
    before: dict[str, list[Json]] = old["settings"]
    after: dict[str, list[Json]] = new["settings"]
    changed = [
        name
        for name in sorted(before.keys() | after.keys())
        if _texts(before.get(name)) != _texts(after.get(name))
    ]
    lines = [
        f"{name}: {_values(before.get(name))} -> {_values(after.get(name))}"
        for name in changed
        if not (_decided(name, changed) and _comes_along(name, before, after))
    ]
    for rule in RULES:
        lines += [
            f"no longer: [[{rule}]] {text}" for text in old[rule] if text not in new[rule]
        ]
        lines += [f"new: [[{rule}]] {text}" for text in new[rule] if text not in old[rule]]
    if old["trials"] != new["trials"]:
        lines.append(f"trials: {old['trials']} -> {new['trials']}")
    return lines


def _decided(name: str, changed: Sequence[str]) -> bool:
    """Return whether the choice that `name` belongs to changed, too."""
    choices = DECIDE.get(name.partition(".")[0], ())
    return name not in choices and any(choice in changed for choice in choices)


def _comes_along(name: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> bool:
    """Return whether a changed setting is no news beside the choice that it belongs to."""
    return name.startswith("model.") or name not in before or name not in after


def _values(values: Sequence[Json] | None) -> str:
    if values is None:
        return "not set"
    texts = [show(value) for value in values]
    if all(isinstance(value, int | float) for value in values):
        texts = sorted(texts, key=float)
    return ", ".join(texts)


def _texts(values: Sequence[Json] | None) -> set[str] | None:
    """Return the values as a set: their order makes no other trials."""
    return None if values is None else {canonical(value) for value in values}
