"""Do the findings of a study name metrics that there are? Asked before anything is stored."""

from typing import TYPE_CHECKING

from ksmith.records import StudyError

if TYPE_CHECKING:
    from ksmith.study import Study

POOLED = ("all", "counterfact", "zsre")  # what stands for a probe where a metric is of several


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


def _names() -> set[str]:
    """Return probe.metric of everything that is measured."""
    from ksmith.measures import DERIVED, MEASURES, TABLES
    from ksmith.settings import PROBES

    tables = {f"{probe}.{name}" for probe, table in TABLES.items() for name in table}
    single = {f"{probe}.{name}" for name, row in MEASURES.items() for probe in row.probes}
    return tables | single | {f"{p}.{name}" for name in DERIVED for p in (*PROBES, *POOLED)}
