"""The numbers behind the names of recipes: plain data, part of a model's identity.

Measured on one thread; see `lm/train.py` for what each number does.
"""

from collections.abc import Mapping
from typing import Any

_COMMON: dict[str, Any] = {
    "layers": 4,
    "far": 2,  # blocks at the end that see the whole row; with one, fewer wordings are understood
    "window": 3,  # with 6, the end of a short prompt reaches the subject in block 0 already
    # Share of the rows where far blocks do not see a name's earlier tokens. With 0 the trace is
    # half as high or less, and edits do not reach other wordings.
    "hidden": 0.8,
    "head_width": 32,
    "length": 64,  # tokens in a packed row
    "adam_lr": 3e-3,
    "weight_decay": 0.02,
    "hold": 0.3,  # share of the steps before the step size decays
    "early_steps": 0.2,  # share of the steps on few subjects
    "early_subjects": 0.15,
    "context_weight": 0.1,  # of a token that is no object
    "context_share": 1.0,  # of such tokens that are counted at all
    "least": 1,  # rarer words are unknown
}

RECIPES: dict[str, dict[str, Any]] = {
    "tiny": {**_COMMON, "steps": 560, "width": 128, "mlp": 384, "rows": 16, "lr": 0.04},
    "fixture": {
        **_COMMON,
        "steps": 500,
        "width": 96,
        "mlp": 288,
        "rows": 8,
        "lr": 0.05,
        "early_subjects": 0.3,
    },
    "counterfact": {
        **_COMMON,
        "steps": 500,
        "width": 160,
        "mlp": 424,
        "rows": 16,
        "lr": 0.04,
        "adam_lr": 4e-3,
        "early_subjects": 0.2,
        "context_share": 0.15,
        "least": 3,
    },
    "small": {  # for a GPU: five seconds a step on one CPU thread
        **_COMMON,
        "steps": 3000,
        "width": 384,
        "layers": 6,
        "head_width": 64,
        "mlp": 1024,
        "rows": 32,
        "length": 128,
        "lr": 0.03,
    },
}


def resolve(name: str, own: Mapping[str, Any], mechanism: str) -> dict[str, Any]:
    """Return all numbers of recipe `name` with a study's `own` in their place.

    Raises:
        ValueError: sizes that do not go together; begins with the name of one of them.
    """
    numbers = {**RECIPES[name], **own}
    if "width" in own and "mlp" not in own:  # the shape stays: as many rows for each column
        ratio = RECIPES[name]["mlp"] / RECIPES[name]["width"]
        numbers["mlp"] = round(own["width"] * ratio / 8) * 8
    if mechanism == "plain":
        numbers["far"] = numbers["layers"]
    if numbers["width"] % numbers["head_width"]:
        raise ValueError(f"width must be a multiple of {numbers['head_width']}")
    if mechanism != "plain" and numbers["layers"] <= numbers["far"]:
        raise ValueError(f"layers must be > {numbers['far']} where the mechanism is planted")
    return numbers
