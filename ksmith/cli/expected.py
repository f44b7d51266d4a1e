"""Can the findings of a study be judged? Asked before anything is stored.

One about a metric that there is none of is refused. One about a metric that its trials don't
measure, as one of gold models where none are trained, is said: it will stay undecided.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ksmith.records import StudyError
from ksmith.settings import METHODS, names
from ksmith.settings.probe import KINDS
from ksmith.settings.words import show

if TYPE_CHECKING:
    from ksmith.study import Finding, Study

POOLED = ("all", "counterfact", "zsre")  # what stands for a probe where a metric is of several
MEMORY, SEQUENCE = "memory", "sequence"  # probes of a metric, as TABLES has them
OF_GOLDS = ("gold", "kl", "ks", "privleak")  # first words of metrics against gold models
OF_HOLDOUT = ("auc", "privleak")  # ... of those against facts that no model saw
SIDES = ("more", "more_from", "less", "less_from")

Settings = Mapping[str, Any]  # of a trial, by section


@dataclass(frozen=True, slots=True)
class Need:
    """What a trial must have for a metric to be measured in it."""

    told: str
    of: Callable[[str, str, list[str]], bool]  # probe, measure, slices
    there: Callable[[Settings], Any]


NEEDS = (
    Need(
        "is of probe.memory, which is false",
        lambda probe, _measure, _slices: probe == MEMORY,
        lambda settings: settings["probe"].get("memory"),
    ),
    Need(
        "is of gold models, and there are none: say task.gold, or model.gold",
        lambda probe, measure, slices: (
            _first(measure, ("gold",))
            or (probe == MEMORY and (_first(measure, OF_GOLDS) or slices[:1] == ["gold"]))
        ),
        lambda settings: settings["task"].get("gold") or settings["model"].get("gold"),
    ),
    Need(
        "is of a holdout set, and there is none: say graph.holdout",
        lambda probe, measure, slices: (
            probe == MEMORY and (_first(measure, OF_HOLDOUT) or "holdout" in slices)
        ),
        lambda settings: {"holdout", "holdout_digest"} & set(settings["graph"]),
    ),
    Need(
        "is of probe.memory_gradients, which is false",
        lambda probe, measure, _slices: probe == MEMORY and measure == "auc_gradient",
        lambda settings: settings["probe"].get("memory_gradients"),
    ),
    Need(
        "is of sequences, and there are none: say task.sequence",
        lambda probe, _measure, _slices: probe == SEQUENCE,
        lambda settings: settings["task"].get("sequence"),
    ),
)


def check_measures(study: "Study") -> None:
    """Compare what each finding measures with the metrics of all probes; slices are not known.

    Raises:
        StudyError: every finding whose metric no trial can have.
    """
    if not study.findings:
        return
    from ksmith.study.declarations import nearest
    from ksmith.study.places import places

    lines = places(study.text)
    known = sorted(_names())
    found: list[str] = []
    for number, finding in enumerate(study.findings):
        name = ".".join(finding.measure.split(".")[:2])
        if name not in known:
            line = lines.get(("finding", number, "measure"), lines.get(("finding",), 1))
            where = f"{study.path}:{line}"
            near = nearest(name, known)
            meant = f"; did you mean {near}?" if near else ""
            found.append(f'{where}: measure = "{finding.measure}": no metric {name}{meant}')
    if found:
        raise StudyError("\n".join(found))


def unmeasured(study: "Study") -> list[str]:
    """Return which findings are about a metric that none of their trials measures, and why.

    No mistake, as a finding whose trials are missing is none: --set may narrow a study.
    """
    return [
        f"finding {show(finding.says)}: {line}"
        for finding in study.findings
        for line in _unmeasured(study, finding)
    ]


def _unmeasured(study: "Study", finding: "Finding") -> Iterator[str]:
    """Yield what the trials of some sides lack; a side that none meets is told elsewhere."""
    from ksmith.study import trials_of

    known = names(METHODS)
    sides = {key: getattr(finding, key) for key in SIDES}
    trials = {
        key: [point.settings for point in trials_of(side, study.points, known)]
        for key, side in sides.items()
        if isinstance(side, Mapping) and side
    }
    for why, there in _needs(finding.measure):
        lacking = [key for key, mine in trials.items() if mine and not any(map(there, mine))]
        if lacking:
            yield f"no trial of {' or '.join(lacking)} measures {finding.measure}: it {why}"


def _needs(measure: str) -> Iterator[tuple[str, Callable[[Settings], Any]]]:
    probe, name, *slices = measure.split(".")
    for need in NEEDS:
        if need.of(probe, name, slices):
            yield need.told, need.there
    if probe in KINDS:
        yield (
            f"is of probe {probe}, which probe.kinds does not name",
            lambda settings: probe in settings["probe"]["kinds"],
        )


def _first(measure: str, words: tuple[str, ...]) -> bool:
    return measure.partition("_")[0] in words


def _names() -> set[str]:
    """Return probe.metric of everything that is measured."""
    from ksmith.measures import DERIVED, MEASURES, TABLES
    from ksmith.settings import PROBES

    tables = {f"{probe}.{name}" for probe, table in TABLES.items() for name in table}
    single = {f"{probe}.{name}" for name, row in MEASURES.items() for probe in row.probes}
    return tables | single | {f"{p}.{name}" for name in DERIVED for p in (*PROBES, *POOLED)}
