"""What a study's grid is, in a form that can be kept and compared with a later one."""

from collections.abc import Mapping, Sequence

from ksmith.records import Json, canonical
from ksmith.settings.words import show
from ksmith.study.check import Plan
from ksmith.study.identity import flat

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
        "zip": [", ".join(group.names) for group in plan.groups if len(group.names) > 1],
        "when": [rule.text for rule in plan.whens],
        "exclude": [rule.text for rule in plan.excludes],
    }


def difference(old: Mapping[str, Json], new: Mapping[str, Json]) -> list[str]:
    """Return what changed between two `Study.grid`s, one line each; nothing for the same."""
    settings = [dict(grid["settings"]) for grid in (old, new)]
    lines = [
        f"{name}: {_values(settings[0].get(name))} -> {_values(settings[1].get(name))}"
        for name in sorted(settings[0].keys() | settings[1].keys())
        if _texts(settings[0].get(name)) != _texts(settings[1].get(name))
    ]
    for rule in RULES:
        lines += [
            f"no longer: [[{rule}]] {text}" for text in old[rule] if text not in new[rule]
        ]
        lines += [f"new: [[{rule}]] {text}" for text in new[rule] if text not in old[rule]]
    if old["trials"] != new["trials"]:
        lines.append(f"trials: {old['trials']} -> {new['trials']}")
    return lines


def _values(values: Sequence[Json] | None) -> str:
    if values is None:
        return "not set"
    return ", ".join(show(value) for value in values)


def _texts(values: Sequence[Json] | None) -> set[str] | None:
    """Return the values as a set: their order makes no other trials."""
    return None if values is None else {canonical(value) for value in values}
