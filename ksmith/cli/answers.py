"""Does a user's file of answers give away what is to be unlearned? Asked before anything is stored.

The same is asked by the attempt that learns from it, whose requests are the same.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith.cli.fits import Place
from ksmith.records import StudyError, UserError, canonical

if TYPE_CHECKING:
    from ksmith.graph import KnowledgeGraph
    from ksmith.study import Point, Study


def check_answers(
    study: "Study", graphs: Sequence[tuple[Any, "KnowledgeGraph"]], place: Place
) -> None:
    """Hold each file of answers against the requests of its trials.

    Args:
        study: its trials name the files.
        graphs: settings of graphs, each with the graph.
        place: says where a setting was given.

    Raises:
        StudyError: what is wrong with them, with file and line.
    """
    wrong: dict[str, None] = {}
    seen: set[str] = set()
    built = {canonical(settings): known for settings, known in graphs}
    for point in study.points:
        name = f"method.{point.settings['method']['name']}.answers"
        known = built.get(canonical(point.settings["graph"]))
        parts = [point.settings[part] for part in ("graph", "task", "seed", "method")]
        about = canonical(parts)
        if known is None or name not in point.files or about in seen:
            continue
        seen.add(about)
        try:
            _look(known, point, Path(point.files[name]))
        except UserError as error:
            wrong[f"{place(name)}: {name} = {point.files[name]}: {error}"] = None
    if wrong:
        raise StudyError("\n".join(wrong))


def _look(known: "KnowledgeGraph", point: "Point", path: Path) -> None:
    from ksmith import corpus, graph

    settings = point.settings
    method = settings["method"]
    requests = graph.requests(known, settings["task"], settings["seed"], covariates=False)
    if method["name"] == "relearn":
        rows, scored = corpus.answers(path), method.get("scored", False)
        graph.given(known, requests, rows, method["variants"], scored=scored)
    else:
        graph.unknowing(known, requests, corpus.texts(path), 1, 0)
