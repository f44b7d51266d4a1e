"""Does a method fit its model? Asked before anything is stored, where the model's sizes are known.

They are of a recipe, of a folder, and of a model of the hub that lies in its cache. Of any other
the attempt asks, before weights are trained.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith.cli.fits import Model, Place
from ksmith.records import StudyError
from ksmith.settings.shapes import Part, Shape, of_config, of_recipe

if TYPE_CHECKING:
    from ksmith.study import Study

# The matrices that have adapters, by what an unlearner trains.
ADAPTED: Mapping[str, tuple[Part, ...]] = {
    "mlp_out": ("mlp_out",),
    "mlp": ("mlp_in", "mlp_out"),
    "all": ("attention", "mlp_in", "mlp_out"),
}


def check_shapes(study: "Study", place: Place) -> None:
    """Hold the ranks and layers of each trial's method against the sizes of its model.

    Raises:
        StudyError: what does not fit, and what is allowed.
    """
    wrong: dict[str, None] = {}
    shapes: dict[str, Shape] = {}
    for point in study.points:
        model = Model.of(point)
        about = json.dumps([point.settings["model"], str(model.folder)], sort_keys=True)
        if about not in shapes:
            shapes[about] = _shape(model)
        method = point.settings["method"]
        for name, text in _unfit(method, shapes[about], model):
            own = f"method.{method['name']}."
            where = place(f"{own}{name}", f"{own}grid.{name}", "task.method")
            wrong[f"{where}: {own}{text}"] = None
    if wrong:
        raise StudyError("\n".join(wrong))


def _shape(model: Model) -> Shape:
    if "recipe" in model.settings:
        try:
            return of_recipe(model.settings)
        except ValueError:  # whoever trains it says what is wrong
            return Shape(None, {})
    return of_config(_config(model.folder))


def _config(folder: Path | None) -> Mapping[str, Any]:
    """Return a model's configuration; nothing where it can't be read, as its attempt will say."""
    try:
        path = folder / "config.json" if folder else Path()
        made = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return made if isinstance(made, dict) else {}


def _unfit(method: Mapping[str, Any], shape: Shape, model: Model) -> Iterator[tuple[str, str]]:
    """Yield the setting and what is wrong with it, of all that do not fit."""
    named = (
        f"the recipe {model.settings['recipe']}" if "recipe" in model.settings else model.named
    )
    name, parts = _adapted(method)
    known: list[Part] = [part for part in parts if part in shape.narrowest]
    part: Part | None = min(known, key=lambda one: shape.narrowest[one], default=None)
    if part and method[name] > (least := shape.narrowest[part]):
        yield (
            name,
            (
                f"{name} = {method[name]}: an adapter is no wider than the matrix that it is added "
                f"to, and the narrowest of {named} ({part}) has {least}; at most {least}"
            ),
        )
    for name in ("layer", "layers"):
        given = method.get(name)
        numbers = [given] if isinstance(given, int) else list(given or ())
        beyond = [n for n in numbers if shape.layers is not None and n >= shape.layers]
        if beyond:
            last = (shape.layers or 0) - 1
            yield (
                name,
                f"{name} = {given}: no layer {beyond[0]}: {named} has layers 0 to {last}",
            )


def _adapted(method: Mapping[str, Any]) -> tuple[str, tuple[Part, ...]]:
    """Return the setting of the adapters' rank, and what has adapters; "" where none is asked."""
    if method.get("adapters"):
        return "adapters", ADAPTED[method["trainable"]]
    if "rank" in method and "modules" in method:
        return "rank", tuple(method["modules"])
    return "", ()
