"""One trial of a study and what it is made of: the nodes whose keys are its identity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ksmith.records import Json, Node
from ksmith.settings import METHODS, Method
from ksmith.settings.graph import aliased
from ksmith.settings.model import ASKED_IN
from ksmith.settings.probe import JUDGES, OF_WEIGHTS, ends_by_itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One trial of a study; its settings are plain JSON with all defaults filled in."""

    axes: dict[str, Json]  # the varied settings that this trial has, by dotted name
    settings: dict[str, Json]  # seed, graph, model, task, method, probe
    files: dict[str, str] = field(
        default_factory=dict[str, str]
    )  # dotted name -> absolute path


def flat(settings: Mapping[str, Json]) -> dict[str, Json]:
    """Return the settings of a point by the names of a study file: `method.npo.beta`."""
    found: dict[str, Json] = {}
    for section, table in settings.items():
        if not isinstance(table, Mapping):
            found[section] = table
        elif section == "method":
            start = f"method.{table['name']}."
            found |= {start + name: value for name, value in table.items() if name != "name"}
        else:
            found |= {f"{section}.{name}": value for name, value in table.items()}
    return found


MOMENTS = 1  # raise it when second moments of the same settings change
GOLD = 1  # raise it when a gold model of the same settings changes
ALIASES = 1  # raise it when other aliases count as answers
COMPARED = 5  # raise it when trials are compared with gold models in another way
SETS = 3  # raise it when other things are seen of forget, retain and holdout sets
WRITTEN = 2  # raise it when other things are said of what is written about those sets
BY_ITSELF = 1  # raise it when texts that end by themselves are written otherwise
BRANCHES = 1  # raise it when other things are near a forgotten branch
STANDARD = 1  # raise it when other things than answers are read off a gold model


# What is done once all models of a trial have answered.
LATER = (*OF_WEIGHTS, *JUDGES, "written")


def nodes(point: Point, methods: Mapping[str, type[Method]] = METHODS) -> dict[str, Node]:
    """Return the trial and all that it needs, by role; needs come before what needs them.

    Each recipe holds what decides the result and nothing else: the answers before do not know
    the method, the update does not know the probes.
    """
    point, given = _without_golds(point)
    settings = point.settings
    task, seed, name = settings["task"], settings["seed"], settings["method"]["name"]
    # Who else answers makes no difference to a question, nor to the update.
    asked = _asked(task)
    updated = {key: value for key, value in task.items() if key != "gold"}
    measured = _measured(settings)
    probe = {key: value for key, value in measured.items() if key not in LATER}
    graph = Node(
        kind="graph", recipe={"graph": settings["graph"]}, files=_files(point, "graph.")
    )
    on_graph = {"graph": graph.key}
    model = Node(
        kind="model",
        recipe={"model": settings["model"]},
        needs=on_graph,
        files=_files(point, "model."),
    )
    base = on_graph | {"model": model.key}
    found = {"graph": graph, "model": model}
    if "moments" in methods[name].assets and settings["method"].get("adjust", True):
        found["moments"] = _moments(point, base)
    if "hypernetwork" in methods[name].assets:
        found["hypernetwork"] = _hypernetwork(settings["method"], base, model.files)
    found["before"] = Node(
        kind="before",
        recipe={"task": asked, "probe": probe, "seed": seed},
        needs=base,
        files=model.files,
    )
    own = {role: node.key for role, node in found.items() if role in methods[name].assets}
    found["update"] = Node(
        kind="update",
        recipe={"task": updated, "method": settings["method"], "seed": seed},
        needs=base | own,
        files=model.files | _files(point, "method."),
    )
    if given:
        task = {**task, "gold": len(given)}
        found |= _given_golds(point, given, asked, probe, base)
    else:
        found |= _golds(settings, asked, probe, base)
    standards = {role: node.key for role, node in found.items() if node.kind == "standard"}
    found["trial"] = Node(
        kind="trial",
        recipe={
            "task": task,
            "method": settings["method"],
            "probe": measured,
            "seed": seed,
            **({"gold": {"version": COMPARED}} if standards else {}),
        },
        needs=base | {"update": found["update"].key, "before": found["before"].key} | standards,
        files=model.files | _files(point, "probe."),
    )
    return found


def _measured(settings: Mapping[str, Json]) -> dict[str, Json]:
    """Return the probe's settings with the versions of what they ask for."""
    measured = dict(settings["probe"])
    if aliased(settings["graph"]):  # no other question can have any
        measured["aliases"] = ALIASES
    if measured.get("memory"):
        measured["sets"] = SETS
        if measured.get("generate", True):
            measured["written"] = WRITTEN
            if ends_by_itself(settings["graph"], settings["model"]):
                measured["by_itself"] = BY_ITSELF
        if settings["task"].get("forget") == "branch":
            measured["branches"] = BRANCHES
    return measured


def _moments(point: Point, base: dict[str, str]) -> Node:
    """Return the second moments that the method needs.

    Those of a model that exists, on a text that is not the graph's, are nothing of the graph's:
    they need no node, so that studies of other graphs share them.
    """
    settings = point.settings
    own = settings.get("moments", {})
    recipe: dict[str, Json] = {"moments": {"version": MOMENTS, **own}}
    if "npz" not in own:
        recipe["moments"]["tokens"] = settings["method"]["moment_tokens"]
    files = _files(point, "model.") | _files(point, "moments.")
    alone = "recipe" not in settings["model"] and ("corpus" in own or "npz" in own)
    if alone:
        # Recall and trace, which the version is of, are no matter here, nor how a prompt is put:
        # a document is plain text.
        other = ("version", *ASKED_IN)
        recipe["model"] = {k: v for k, v in settings["model"].items() if k not in other}
    return Node(kind="moments", recipe=recipe, needs={} if alone else base, files=files)


def _hypernetwork(
    method: Mapping[str, Json], base: dict[str, str], files: dict[str, str]
) -> Node:
    """Return the network that the method edits with.

    It knows the model and the graph, and nothing of what is asked: trials of any task, scale and
    seed share it.
    """
    own = {key: value for key, value in method.items() if key != "name"}
    return Node(kind="hypernetwork", recipe={"hypernetwork": own}, needs=base, files=files)


# What makes no difference to the requests and the questions about them.
NOT_ASKED = ("method", "gold", "sequence", "batch", "checkpoints")


def _asked(task: Mapping[str, Json]) -> dict[str, Json]:
    """Return what decides a trial's questions; of a sequence as of all its facts at once."""
    asked = {name: value for name, value in task.items() if name not in NOT_ASKED}
    if "sequence" not in task:
        return asked
    # Of sets of facts a sequence takes so many facts, an update at once so many sets.
    name = "sequence" if "forget" in task else "scale"
    return asked | {name: task["sequence"]}


def _golds(
    settings: Mapping[str, Json],
    asked: Mapping[str, Json],
    probe: Mapping[str, Json],
    base: dict[str, str],
) -> dict[str, Node]:
    """Return each draw's gold models, and what each says, by role: `gold.<draw>.<number>`.

    A gold model knows the facts that its draw changes and no method, no probe and no further
    draw: all methods share it, and so do studies with more draws. It has the tokenizer of the
    base model, so that their answers can be compared token by token.
    """
    found: dict[str, Node] = {}
    golds = settings["task"].get("gold", 0)
    if not golds:
        return found
    names = ("kind", "level", "scale", "forget", "relation", "share")
    changed = {name: asked[name] for name in names if name in asked}
    for draw in range(asked["draws"]):
        for number in range(golds):
            gold = Node(
                kind="gold",
                recipe={
                    "gold": {"version": GOLD, "draw": draw, "number": number},
                    "model": settings["model"],
                    "task": changed,
                    "seed": settings["seed"],
                },
                needs=base,
            )
            found[f"gold.{draw}.{number}"] = gold
            name = f"standard.{draw}.{number}"
            found[name] = _standard(settings, asked, probe, (base, gold, draw))
    return found


def _standard(
    settings: Mapping[str, Json],
    asked: Mapping[str, Json],
    probe: Mapping[str, Json],
    of: tuple[Mapping[str, str], Node, int],
) -> Node:
    """Return what a gold model of a draw says; `of` holds the base's needs, the model, the draw."""
    base, gold, draw = of
    return Node(
        kind="standard",
        recipe={
            "standard": {"version": STANDARD, "draw": draw},
            "task": asked,
            "probe": probe,
            "seed": settings["seed"],
        },
        needs={**base, "gold": gold.key},
        files=gold.files,
    )


def _without_golds(point: Point) -> tuple[Point, list[str]]:
    """Return the point as if its model came alone, and the digests of a user's gold models."""
    model = dict(point.settings["model"])
    given = list(model.pop("gold", ()))
    return replace(point, settings={**point.settings, "model": model}), given


def _given_golds(
    point: Point,
    given: Sequence[str],
    asked: Mapping[str, Json],
    probe: Mapping[str, Json],
    base: Mapping[str, str],
) -> dict[str, Node]:
    """Return the gold models of the one draw that a user retrained, and what each says."""
    found: dict[str, Node] = {}
    for number, content in enumerate(given):
        files = _files(point, "model.") | {"gold": point.files[f"gold.{number}"]}
        gold = Node(
            kind="gold",
            recipe={"gold": {"version": GOLD, "digest": content}},
            needs=dict(base),
            files=files,
        )
        found[f"gold.0.{number}"] = gold
        found[f"standard.0.{number}"] = _standard(point.settings, asked, probe, (base, gold, 0))
    return found


def _files(point: Point, start: str) -> dict[str, str]:
    return {name: path for name, path in point.files.items() if name.startswith(start)}
