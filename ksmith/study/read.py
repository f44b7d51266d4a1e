"""A study file, read: its trials with all settings filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ksmith.records import Json
from ksmith.settings import METHODS, Method, Names, names
from ksmith.study.check import Plan, check
from ksmith.study.declarations import collect
from ksmith.study.difference import describe
from ksmith.study.expand import Flat, combinations, count, effective
from ksmith.study.findings import Finding, check_findings, unmet
from ksmith.study.identity import Point
from ksmith.study.mistakes import Mistakes, Where
from ksmith.study.overrides import override, read_overrides
from ksmith.study.resolve import Resolver
from ksmith.study.section import Desk
from ksmith.study.source import Source, read_file

MAX_TRIALS = 10_000
MOST_TRIALS = 1_000_000  # also where many are allowed: more do not fit into memory
EXCLUDED = 20  # combinations that may be made for each trial that may be left


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study as declared: what the store keeps of it, and its trials in order."""

    name: str
    question: str
    path: Path
    text: str  # the TOML text
    overrides: tuple[str, ...]  # key=value
    points: list[Point]
    axes: dict[str, list[Json]]  # dotted name -> its values, in the order of the file
    grid: dict[str, Json]  # for `difference`
    notes: list[str]  # what is no mistake but may surprise
    findings: tuple[Finding, ...] = ()  # what it expects: of no trial's identity

    @property
    def told(self) -> str:
        """The text as the store keeps and shows it: what --set said stands below the file."""
        # A value of many lines stays in one comment.
        said = [r"\n".join(given.splitlines()) for given in self.overrides]
        lines = [f"# --set {given}\n" for given in said]
        ended = self.text if self.text.endswith("\n") or not lines else f"{self.text}\n"
        return ended + "".join(lines)


def read(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    allow_large: bool = False,
    methods: Mapping[str, type[Method]] = METHODS,
) -> Study:
    """Return the study in the file at `path`.

    Args:
        path: a TOML file; the paths in it are relative to its folder.
        overrides: `key=value` each, stronger than the file; their paths are relative to the
            working directory.
        allow_large: more than MAX_TRIALS trials are meant.
        methods: those that a study can choose among.

    Raises:
        StudyError: all that is wrong, one line each: where, what was given, what is allowed.
    """
    source = read_file(path)
    known = names(methods)
    mistakes = Mistakes()
    found = collect(source, known, mistakes)
    override(found, read_overrides(overrides, mistakes), known, mistakes)
    plan = check(found, known, source.at("task"), mistakes)
    findings = check_findings(found.claims, known, mistakes)
    flats = _expand(plan, known, _large(source), mistakes, allow_large=allow_large)
    desk = Desk(
        start=source.at("graph"),
        mistakes=mistakes,
        notes=plan.notes,
        # After a mistake something may only seem to be missing.
        complete=not mistakes.found,
    )
    resolver = Resolver(methods, desk)
    points = _points(flats, plan, known, resolver)
    if flats and not mistakes.found and len(points) < len(flats):
        plan.notes.append(f"{len(flats) - len(points)} combinations repeat another trial")
    mistakes.stop_if_any()
    plan.notes.extend(unmet(findings, flats, known))
    return Study(
        name=plan.name,
        question=plan.question,
        path=path,
        text=source.text,
        overrides=tuple(overrides),
        points=points,
        axes=_axes(plan),
        grid=describe(resolver.parts(), len(points), plan),
        notes=list(dict.fromkeys(plan.notes)),
        findings=findings,
    )


def _large(source: Source) -> Where:
    """Return where a grid is that is too large or empty."""
    first = next((key for key in ("grid", "zip", "exclude") if key in source.data), "name")
    return source.at(first)


def _expand(
    plan: Plan, known: Names, where: Where, mistakes: Mistakes, *, allow_large: bool
) -> list[Flat]:
    """Return the combinations; none, and a mistake, where there are too many."""
    limit = MOST_TRIALS if allow_large else MAX_TRIALS
    made = count(plan, known)
    hint = "" if allow_large else "; --allow-large allows more"
    if made > limit * (EXCLUDED if plan.excludes else 1):
        left = " before exclusions" if plan.excludes else ""
        message = f"the grid has {made:,} trials{left}, more than {limit:,}{hint}"
        mistakes.add(where, message)
        return []
    flats = list(combinations(plan, known))
    if len(flats) > limit:
        mistakes.add(where, f"the grid has {len(flats):,} trials, more than {limit:,}{hint}")
        return []
    if made and not flats and not mistakes.found:  # a misspelt condition excludes nothing
        mistakes.add(where, f"no trial is left: [[exclude]] takes out all {made:,}")
    return flats


def _points(flats: list[Flat], plan: Plan, known: Names, resolver: Resolver) -> list[Point]:
    """Return the trials, each once: settings that make no difference make no other trial."""
    found: dict[tuple[str, ...], Point] = {}
    axes = [name for group in plan.groups for name in group.names]
    for flat in flats:
        tables = resolver.resolve(flat)
        identity = tuple(table.text for table in tables.values())
        if identity not in found:
            found[identity] = Point(
                axes=_axes_of(axes, flat, known),
                settings={name: table.copy() for name, table in tables.items()},
                files={k: v for table in tables.values() for k, v in table.files.items()},
            )
    return list(found.values())


def _axes_of(axes: list[str], flat: Flat, known: Names) -> dict[str, Json]:
    values = {name: effective(name, flat, known) for name in axes}
    return {name: value for name, value in values.items() if value is not None}


def _axes(plan: Plan) -> dict[str, list[Json]]:
    return {
        name: [row[column].value for row in group.rows]
        for group in plan.groups
        for column, name in enumerate(group.names)
    }
