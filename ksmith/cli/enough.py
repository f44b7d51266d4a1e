"""Are there facts enough for a study's trials? Asked before anything is stored or trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith.cli.answers import check_answers
from ksmith.cli.fits import check_lengths, check_templates
from ksmith.cli.golds import check_golds
from ksmith.cli.sentences import say_sentences
from ksmith.cli.shapes import check_shapes
from ksmith.cli.shell import note
from ksmith.records import StudyError, UserError, canonical
from ksmith.settings.graph import MINED

if TYPE_CHECKING:
    from ksmith.study import Study

LARGEST = 100_000  # facts; a larger graph takes longer to build than its worker to complain
LARGEST_FILE = 1 << 24  # bytes; so does one out of a larger file
ABOUT = ("records", "retain", "holdout", "forget")  # settings that a complaint may be about
KEEPS = ("retain_weight", "retain_near", "retain")  # what a method keeps, and whether
LEFT_OUT = (  # of files of facts, then of records
    "duplicate facts",
    "contradictory facts",
    "facts with names that are too long",
    "conflicting records",
    "records without their subject in the question",
    "records with a {} in the question",
    "records without an answer",
    "records without a wrong answer",
    "records with the question and subject of an earlier one",
)


def check_facts(study: "Study") -> None:
    """Build each graph of `study` and draw what its trials ask for; nothing is kept.

    Raises:
        StudyError: every task that asks for more facts than its graph has.
    """
    graphs: dict[str, tuple[Any, Any]] = {}  # settings, graph
    asked: dict[str, str | None] = {}
    for point in study.points:
        settings = point.settings["graph"]
        if settings.get("facts", 0) > LARGEST or _size(point.files) > LARGEST_FILE:
            continue
        name = canonical(settings)
        if name not in graphs:
            graphs[name] = settings, _built(study, settings, point.files)
            _say(study, graphs[name][1], point.files)
        task = {k: v for k, v in point.settings["task"].items() if k not in ("method", "kind")}
        method = point.settings["method"]
        keeps = {key: method.get(key) for key in KEEPS}
        key = canonical([name, task, keeps])
        if key not in asked:
            asked[key] = _complaint(graphs[name][1], point.settings)
    found = sorted({text for text in asked.values() if text})
    if found:
        raise StudyError("\n".join(f"{_about(study, text)}: {text}" for text in found))

    def place(*names: str) -> str:
        return _place(study, *names)

    check_golds(study, place)
    check_shapes(study, place)
    check_templates(study, place)
    check_answers(study, list(graphs.values()), place)
    own = [(settings, known) for settings, known in graphs.values() if known.source == "qa"]
    check_lengths(study, own, place)


def _about(study: "Study", complaint: str) -> str:
    """Return where the setting was given that a complaint is about."""
    sizes = ("task.sequence", "task.share", "task.scale", "task.draws")
    named = [complaint.partition(" = ")[0]] if complaint.startswith("task.") else []
    return _place(study, *named, *sizes, "graph.facts", "graph.records")


def _built(study: "Study", settings: Any, files: dict[str, str]) -> Any:
    from ksmith import graph

    try:
        return graph.build(settings, files)
    except UserError as error:
        text = str(error)
        about = [f"graph.{name}" for name in ABOUT if f"graph.{name}" in text]
        about += [n for n, path in files.items() if text.startswith(f"{path}:")]
        where = _place(study, *about, "graph.path", "graph.source")
        lines = str(error).splitlines()
        raise StudyError("\n".join(f"{where}: {text}" for text in lines)) from None


def _place(study: "Study", *names: str) -> str:
    """Return where the first of `names` was given that was: a --set, else a line of the file."""
    from ksmith.study.places import places

    given = {text.partition("=")[0].strip(): f"--set {text}" for text in study.overrides}
    lines: dict[str, str] = {}
    for path, line in places(study.text).items():
        name = ".".join(part for part in path if isinstance(part, str))
        lines.setdefault(name, f"{study.path}:{line}")
    ways = [start + name for name in names for start in ("", "grid.", "zip.", "when.set.")]
    found = [place[way] for way in ways for place in (given, lines) if way in place]
    return next(iter(found), str(study.path))


def _size(files: dict[str, str]) -> int:
    """Return the bytes of the graph's data files; 0 where it has none."""
    named = [path for name, path in files.items() if name.startswith("graph.")]
    return sum(Path(path).stat().st_size for path in named)


def _say(study: "Study", known: Any, files: dict[str, str]) -> None:
    """Say what a user can't know of what was made of a file."""
    _say_left_out(files, known)
    if known.source == "triples":
        _say_found(study, known)
    if known.source == "qa":
        _say_sets(known)
        say_sentences(study, known)


def _say_left_out(files: dict[str, str], known: Any) -> None:
    """Say what of a user's own file is not in the graph."""
    out = [f"{what} ({known.counts[what]:,})" for what in LEFT_OUT if what in known.counts]
    if out:
        note(f"{Path(files['graph.path']).name}: left out are {', '.join(out)}")


def _say_found(study: "Study", known: Any) -> None:
    """Say of a user's own facts what nobody has written down: the rules, and what is too small."""
    from ksmith.probe.options import OPTIONS

    if known.settings["rules"] == [MINED]:
        many = len(known.rules)
        says = f"{many} mined rule{'s say' if many > 1 else ' says'} what follows from what"
        says = says if many else "no mined rule is sure enough: nothing follows from an update"
        note(f"{says}; `ksmith graph rules {study.path}` shows them")
    _say_loops(known)
    asked = dict.fromkeys(fact.relation for fact in known.facts if fact.editable)
    for relation in asked:
        objects = known.types[known.relation[relation].objects]
        if len(objects) < OPTIONS:
            few = f"{relation!r} has {len(objects)} objects"
            note(f"{few}: too few for a choice of four; questions about it have no options")


def _say_loops(known: Any) -> None:
    """Say which relation is no hierarchy because of a cycle: levels go by others, or by none."""
    from ksmith.graph.standing import loop_told, looped

    if known.settings["levels"] != "depth" or known.settings["hierarchy"] is not None:
        return
    one = {relation.name for relation in known.relations if relation.functional}
    found = looped([fact.triple for fact in known.facts if fact.stored], one)
    levels = "levels go by another relation" if known.levels else "there are no levels"
    for relation, cycle in found.items():
        note(f"{relation!r} is no hierarchy: it {loop_told(cycle)}; {levels}")


def _say_sets(known: Any) -> None:
    """Say of a user's own retain set what is not known from the file: which part is for what."""
    from ksmith.graph.qa import ASKED

    counts = known.counts
    only, whole = counts[ASKED], counts["pairs to retain"]
    note(
        f"graph.retain: {only:,} of its {whole:,} pairs are only asked about, by their text; the "
        f"other {whole - only:,} may be trained on"
    )


def _complaint(known: Any, settings: dict[str, Any]) -> str | None:
    """Return what is wrong with a task; say what may surprise."""
    from ksmith import graph

    task = settings["task"]
    try:
        graph.check(known, task)
    except UserError as error:
        return str(error)
    if (share := task.get("share")) is None:
        return None
    size, there, what = graph.drawn_of(known, task)
    if size > share * there + 0.5:  # at least one is drawn, however few there are
        note(f"task.share = {share} of {there} {what} is {size}: {size / there:.2g} of them")
    return _nothing_left(known, settings)


def _nothing_left(known: Any, settings: dict[str, Any]) -> str | None:
    """Return which draw of a share leaves nothing to a method that keeps a retain set."""
    from itertools import groupby

    from ksmith import graph

    method, task = settings["method"], settings["task"]
    if not method.get("retain_weight") or method.get("retain") == 0:
        return None
    near = method.get("retain_near", True)
    requests = graph.requests(known, task, settings["seed"], covariates=False)
    for _, group in groupby(requests, key=lambda request: request.draw):
        draw = list(group)
        if not graph.retain(known, draw, 1, 0, near=near):
            return f"task.share = {task['share']}: {graph.nothing_left(draw)}"
    return None
