"""From axes to combinations: products, conditional axes, dependent values, exclusions."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Any

from ksmith.settings import Names, fields
from ksmith.settings.recipes import RECIPES
from ksmith.settings.words import cut
from ksmith.study.check import SELECTORS, Checked, Group, Plan, Value

Flat = dict[str, Value]  # dotted name -> value: what a combination gives, without defaults
Chosen = Mapping[str, Any]  # selector -> value


def count(plan: Plan, names: Names) -> int:
    """Return how many combinations there are before exclusions, without making them."""
    deciding, others = _split(plan)
    tables = [Counter(_choice(group, row) for row in group.rows) for group in deciding]
    total = 0
    for picks in product(*(table.items() for table in tables)):
        chosen = _start(plan) | dict(pair for choice, _ in picks for pair in choice)
        active = [len(group.rows) for group in others if _exists(group, chosen, names)]
        total += prod(times for _, times in picks) * prod(active)
    return total


def combinations(plan: Plan, names: Names) -> Iterator[Flat]:
    """Yield each combination once, the first axis varying slowest, as exclusions leave them."""
    met: set[int] = set()
    rules = [*plan.whens, *plan.excludes]
    for flat in _products(plan, names):
        current = flat
        for rule in plan.whens:
            if _holds(rule, current, names):
                met.add(id(rule))
                current = current | rule.sets
        out = [rule for rule in plan.excludes if _holds(rule, current, names)]
        met |= {id(rule) for rule in out}
        if not out:
            yield current
    for rule in rules:
        if id(rule) not in met:
            what = "[[when]]" if rule.sets else "[[exclude]]"
            plan.notes.append(
                f"{rule.where.text}: this {what} meets no trial: {cut(rule.text, 120)}"
            )


def _products(plan: Plan, names: Names) -> Iterator[Flat]:
    deciding, others = _split(plan)
    indices: list[tuple[int, ...]] = []
    for rows in product(*(range(len(group.rows)) for group in deciding)):
        picked = dict(zip(map(id, deciding), rows, strict=True))
        choices = [_choice(group, group.rows[picked[id(group)]]) for group in deciding]
        chosen = _start(plan) | dict(pair for choice in choices for pair in choice)
        lasting = {id(group) for group in others if _exists(group, chosen, names)}
        ranges = [_range(group, picked, lasting) for group in plan.groups]
        indices += product(*ranges)
    for index in sorted(indices):
        flat = dict(plan.values)
        for group, row in zip(plan.groups, index, strict=True):
            if row >= 0:
                flat |= dict(zip(group.names, group.rows[row], strict=True))
        yield flat


def _range(group: Group, picked: dict[int, int], lasting: set[int]) -> list[int]:
    if id(group) in picked:
        return [picked[id(group)]]
    return list(range(len(group.rows))) if id(group) in lasting else [-1]


def _split(plan: Plan) -> tuple[list[Group], list[Group]]:
    deciding = [group for group in plan.groups if set(SELECTORS) & set(group.names)]
    return deciding, [group for group in plan.groups if group not in deciding]


def _choice(group: Group, row: tuple[Value, ...]) -> tuple[tuple[str, Any], ...]:
    pairs = zip(group.names, row, strict=True)
    return tuple((name, value.value) for name, value in pairs if name in SELECTORS)


def _start(plan: Plan) -> dict[str, Any]:
    given = {name: plan.values[name].value for name in SELECTORS if name in plan.values}
    return {"graph.source": "synthetic"} | given


def _exists(group: Group, chosen: Chosen, names: Names) -> bool:
    return any(exists(name, chosen, names) for name in group.names)


def exists(name: str, chosen: Chosen, names: Names) -> bool:
    """Return whether a trial with these choices has the setting."""
    section = name.partition(".")[0]
    if name in SELECTORS or section not in ("graph", "method"):
        return True
    owner = chosen.get("graph.source" if section == "graph" else "task.method")
    return owner in names.owners[name]


# --- rules ------------------------------------------------------------------------------------


def _holds(rule: Checked, flat: Flat, names: Names) -> bool:
    return all(
        any(test.holds(effective(name, flat, names)) for test in tests)
        for name, tests in rule.conditions.items()
    )


def effective(name: str, flat: Flat, names: Names) -> Any:
    """Return the value of `name` in a combination, defaults included; None: it has none."""
    chosen = {key: flat[key].value for key in SELECTORS if key in flat}
    chosen.setdefault("graph.source", "synthetic")
    if not exists(name, chosen, names):
        return None
    if name in flat:
        return flat[name].value
    return _default(name, flat, names, chosen)


def _default(name: str, flat: Flat, names: Names, chosen: Chosen) -> Any:
    section, _, leaf = name.rpartition(".")
    loads = "model.load" in flat
    if section == "model" and loads != ("load" in names.owners[name]):
        return None
    owners = names.owners[name]
    setting = owners.get(chosen["graph.source"]) or next(iter(owners.values()))
    if section == "model" and setting.default is None:
        recipe = flat["model.recipe"].value if "model.recipe" in flat else "tiny"
        return RECIPES[recipe].get(leaf)
    return None if setting.required else fields.plain(setting, setting.default)
