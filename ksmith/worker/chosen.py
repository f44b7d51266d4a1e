"""The hyperparameters of a method for the very model: a study's own, published ones, defaults."""

from typing import Any

import torch
from torch import Tensor

from ksmith import settings
from ksmith.lm.sites import sites
from ksmith.records import Json, UserError
from ksmith.settings.known_models import Known, Row, known, listed
from ksmith.worker.job import Job
from ksmith.worker.opening import Base


def hyperparameters(job: Job, base: Base) -> tuple[Any, dict[str, Json]]:
    """Return the checked hyperparameters, and what was taken from where.

    Layers that the study does not name are those of the table of known models; for a model that
    is not in it they stay open, and a method edits where the causal trace peaks.

    Raises:
        UserError: `preset = "paper"`, and nothing is published for this method on this model.
    """
    table = job.spec.recipe["method"]
    name = table["name"]
    own = settings.declared(settings.METHODS[name])
    values = {key: value for key, value in table.items() if key in own}
    model = known(base.model.config.to_dict())
    row = model.rows.get(name) if model else None
    told: dict[str, Json] = {"known_model": model.name} if model else {}
    if values.get("preset") == "paper":
        values = _published(model, row, name) | values
        told["values_from"] = row.source if row else ""
    leaf = next((leaf for leaf in ("layer", "layers") if leaf in own), None)
    if leaf is not None:
        values[leaf], told["layers_from"] = _layers(leaf, values.get(leaf), model, row)
        if values[leaf] is None and not listed(name):
            # As LoRA does, if it says nothing else: nothing is to be chosen.
            told["layers_from"] = getattr(settings.METHODS[name], "where", "all layers")
    return settings.method(name, values), told


def _published(model: Known | None, row: Row | None, name: str) -> dict[str, Any]:
    if model is None:
        raise UserError('preset = "paper": the model is none of which numbers are published')
    if row is None or row.values is None:
        raise UserError(
            f'preset = "paper": no numbers are published for {name} on {model.name}'
        )
    return dict(row.values)


def _layers(leaf: str, given: Any, model: Known | None, row: Row | None) -> tuple[Any, str]:
    """Return what the setting `layer` or `layers` is, and who says so."""
    if given is not None:
        return given, "the study"
    if model is None or row is None:
        return None, "the causal trace"
    return row.layers[0] if leaf == "layer" else row.layers, f"the table, for {model.name}"


def alike(hp: Any, base: Base) -> dict[int, Tensor] | None:
    """Return the second moment under which all directions are alike, where `hp` wants that.

    For the layer of `hp`: the identity, (d_ff, d_ff) float64.
    """
    layer = base.layer if getattr(hp, "layer", None) is None else hp.layer
    if getattr(hp, "adjust", True) or layer is None:
        return None
    where = sites(base.model)
    weight = base.model.get_parameter(where.weight(where.layer(layer)))
    return {layer: torch.eye(where.maths(weight).shape[1], dtype=torch.float64)}
