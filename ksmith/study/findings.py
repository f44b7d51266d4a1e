"""What a study expects to find: a claim as one comparison of a measure between its trials.

    [[finding]]
    says    = "Editing changes more of what should stay than unlearning does"
    paper   = "KnowledgeSmith, arXiv:2510.02392, finding 1"
    measure = "spread.ccr.known"
    more    = { "task.kind" = "edit" }
    less    = { "task.kind" = "unlearn" }

A finding is no part of any trial: it can be written, changed and taken out after the fact, and
`ksmith report` says whether it holds. `more` and `less` are conditions as in [[exclude]], or one
of them a number. `more_from` and `less_from` name what is subtracted on each side, so that a
rise can be compared with another rise. `margin` is by how much the one has to be larger; below
zero, by how much it may be smaller.
"""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ksmith.settings import Names
from ksmith.settings.words import show
from ksmith.study import places
from ksmith.study.check import Value
from ksmith.study.conditions import Test, read_condition
from ksmith.study.declarations import Claim, Given, collect, nearest
from ksmith.study.expand import Flat, effective
from ksmith.study.identity import Point, flat
from ksmith.study.mistakes import Mistakes
from ksmith.study.source import Source

MEASURE = re.compile(r"[a-z]\w*\.[a-z]\w*(\.\w+)*", re.ASCII)
TEXTS = ("says", "paper", "measure")
SIDES = ("more", "more_from", "less", "less_from")
KEYS = (*TEXTS, *SIDES, "margin")
LARGEST = 1e9

Side = Mapping[str, tuple[Test, ...]]  # dotted name -> tests of which one has to hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One claim: `measure` is larger by more than `margin` in `more` than in `less`."""

    says: str
    measure: str  # probe.measure, then a slice and a hop where it has them: as in MLflow
    more: Side | float
    less: Side | float
    more_from: Side = field(default_factory=dict[str, tuple[Test, ...]])  # {}: nothing
    less_from: Side = field(default_factory=dict[str, tuple[Test, ...]])
    paper: str = ""
    margin: float = 0.0

    @property
    def sides(self) -> list[Side]:
        """Those of its sides that are conditions."""
        every = (self.more, self.more_from, self.less, self.less_from)
        return [side for side in every if isinstance(side, Mapping) and side]


def check_findings(
    claims: Sequence[Claim], names: Names, mistakes: Mistakes
) -> tuple[Finding, ...]:
    """Return the claims, checked; one that is wrong is noted and left out."""
    found = [_finding(claim, names, mistakes) for claim in claims]
    return tuple(finding for finding in found if finding is not None)


def findings_in(text: str, names: Names) -> tuple[Finding, ...]:
    """Return the findings of a study file's text that was checked when it was stored."""
    source = Source(
        path=Path("study"), text=text, data=tomllib.loads(text), lines=places.places(text)
    )
    mistakes = Mistakes()  # an older or newer ksmith's names: such a finding is left out
    return check_findings(collect(source, names, mistakes).claims, names, mistakes)


def unmet(findings: Sequence[Finding], flats: Sequence[Flat], names: Names) -> list[str]:
    """Return what findings compare that can't be compared: no mistake, for --set may narrow.

    Args:
        findings: those of the study.
        flats: its combinations.
        names: of settings.
    """
    notes: list[str] = []
    for finding in findings:
        about = f"finding {show(finding.says)}"
        for key in SIDES:
            side = getattr(finding, key)
            if (
                isinstance(side, Mapping)
                and side
                and not any(_meets(side, f, names) for f in flats)
            ):
                notes.append(f"{about}: no trial has what {key} asks for ({_told(side)})")
        if (finding.more, finding.more_from) == (finding.less, finding.less_from):
            notes.append(f"{about}: more and less are the same trials")
    return notes


def trials_of(side: Side, points: Sequence[Point], names: Names) -> list[Point]:
    """Return the trials that a side of a finding asks for."""
    return [point for point in points if _meets(side, _flat_of(point), names)]


def _flat_of(point: Point) -> Flat:
    """Return a trial's settings as its combination gave them: files by path, where they vary."""
    return {
        name: Value(value=given) for name, given in (flat(point.settings) | point.axes).items()
    }


def _meets(side: Side, given: Flat, names: Names) -> bool:
    return all(
        any(test.holds(effective(name, given, names)) for test in tests)
        for name, tests in side.items()
    )


def _told(side: Side) -> str:
    return ", ".join(f"{name} {' or '.join(map(str, tests))}" for name, tests in side.items())


def _finding(claim: Claim, names: Names, mistakes: Mistakes) -> Finding | None:
    before = len(mistakes.found)
    for key, given in claim.given.items():
        if key not in KEYS:
            near = nearest(key, KEYS)
            meant = f"; did you mean {near}?" if near else ""
            mistakes.add(
                given.where, f"[[finding]] has no {key}{meant}; it has {', '.join(KEYS)}"
            )
    texts: dict[str, Any] = {key: _text(claim, key, mistakes) for key in TEXTS}
    sides: dict[str, Any] = {key: _side(claim, key, names, mistakes) for key in SIDES}
    margin = _margin(claim, mistakes)
    if not any(isinstance(sides[key], Mapping) and sides[key] for key in ("more", "less")):
        example = 'more = { "task.kind" = "edit" } and less = { "task.kind" = "unlearn" }'
        mistakes.add(
            claim.where, f"[[finding]] needs more and less, one of them a table: {example}"
        )
    if len(mistakes.found) > before or not claim.whole:
        return None
    return Finding(**texts, **sides, margin=margin)


def _text(claim: Claim, key: str, mistakes: Mistakes) -> str:
    given = claim.given.get(key)
    if given is None:
        if key != "paper":
            mistakes.add(claim.where, f"[[finding]] needs {key} = a string")
        return ""
    if not isinstance(given.value, str):
        mistakes.add(given.where, f"{key} = {show(given.value)}: must be a string")
    elif key == "measure" and not MEASURE.fullmatch(given.value):
        message = (
            'must name a metric, such as "efficacy.generated" or "multi_hop.accuracy.hop2"'
        )
        mistakes.add(given.where, f"measure = {show(given.value)}: {message}")
    return str(given.value)


def _side(claim: Claim, key: str, names: Names, mistakes: Mistakes) -> Any:
    """Return the conditions or the number; an empty table where there is none."""
    given, conditions = claim.given.get(key), claim.conditions.get(key)
    if conditions is not None:
        return {name: _tests(name, item, names, mistakes) for name, item in conditions.items()}
    if given is None:
        if key in ("more", "less"):
            mistakes.add(claim.where, f"[[finding]] needs {key}: conditions, or a number")
        return {}
    if key in ("more", "less") and _is_number(given.value):
        return float(given.value)
    allowed = "conditions in braces" + (", or a number" if key in ("more", "less") else "")
    mistakes.add(given.where, f"{key} = {show(given.value)}: must be {allowed}")
    return {}


def _tests(name: str, given: Given, names: Names, mistakes: Mistakes) -> tuple[Test, ...]:
    tests, message = read_condition(names.owners[name], name, given)
    if message:
        mistakes.add(given.where, f"{name} {message}")
    return tests


def _margin(claim: Claim, mistakes: Mistakes) -> float:
    given = claim.given.get("margin")
    if given is None:
        return 0.0
    if not _is_number(given.value):
        mistakes.add(given.where, f"margin = {show(given.value)}: must be a number")
        return 0.0
    return float(given.value)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) < LARGEST
    )
