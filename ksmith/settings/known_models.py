"""What is published for well-known models: the layers to edit, and the numbers of public code.

A model is known by its shape, never by its name. A method takes its layers from here where a
study names none; with `preset = "paper"` it takes the numbers, too, which are absolute. Where
nobody has published a row, it is that of the nearest model, and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

VERSION = 1  # raise it when a row changes: it is in the key of what is taken from here

# Sources: the papers and the settings in the public code of their authors, or of EasyEdit.
ROME = "ROME, arXiv:2202.05262"
R_ROME = "Rebuilding ROME, arXiv:2403.07175"
MEMIT = "MEMIT, arXiv:2210.07229"
EMMET = "EMMET, arXiv:2403.14236"
ALPHA = "AlphaEdit, arXiv:2410.02355"
EASY = "EasyEdit, arXiv:2308.07269"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method on one model; `values` by the names of the method's settings."""

    layers: tuple[int, ...]
    values: Mapping[str, Any] | None  # None: no numbers are published
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One model: its shape, and a row a method."""

    name: str
    model_type: str
    layers: int
    width: int  # d_model
    mlp: int  # d_ff
    rows: Mapping[str, Row]


# No ridge: public code has none. In all of them the search stops at a loss of .05.
_SEARCH = {"lr": 0.5, "kl_weight": 0.0625, "stop_loss": 0.05, "ridge": 0.0}
_ONE = {**_SEARCH, "clamp": 4.0, "contexts": 21}  # rome
_MANY = {**_SEARCH, "contexts": 6}  # memit and what came of it
_GPT = {**_MANY, "clamp": 0.75, "weight_decay": 0.5}
_LLAMA = {**_MANY, "clamp": 4.0, "weight_decay": 1e-3, "steps": 25}
_TUNE = {"lr": 5e-4, "steps": 25, "stop_loss": 0.01}


def _emmet(values: Mapping[str, Any], weight: float) -> dict[str, Any]:
    return {**values, "weight": weight, "slack": 0.1}


def _alphaedit(values: Mapping[str, Any], l2: float) -> dict[str, Any]:
    """Return a row's values: AlphaEdit needs no inverse, so nothing is to be added to it."""
    rest = {name: value for name, value in values.items() if name != "ridge"}
    return {**rest, "nullspace": 2e-2, "l2": l2}


def _rome_later(source: str) -> Row:
    """Return ROME's row for models of 2023 and later: EasyEdit weighs all directions alike."""
    values = {**_ONE, "steps": 25, "weight_decay": 1e-3, "adjust": False}
    return Row(layers=(5,), values=values, source=source)


def _like(row: Row, model: str, layers: Sequence[int] = ()) -> Row:
    return replace(row, layers=tuple(layers) or row.layers, source=f"from {model}")


def _unbounded(layer: int) -> Row:
    """Return FT-L's row where public code tunes a layer without a bound: no epsilon is known."""
    return Row(layers=(layer,), values=None, source=f"the layer of ft, {EASY}; no epsilon")


_GPT2_XL = {
    "rome": Row(layers=(17,), values={**_ONE, "steps": 20, "weight_decay": 0.5}, source=ROME),
    "r_rome": Row(
        layers=(17,), values={**_ONE, "steps": 20, "weight_decay": 0.5}, source=R_ROME
    ),
    "memit": Row(
        layers=(13, 14, 15, 16, 17),
        values={**_GPT, "steps": 20, "weight": 20_000.0},
        source=MEMIT,
    ),
    "emmet": Row(layers=(17,), values=_emmet({**_GPT, "steps": 20}, 1000.0), source=EMMET),
    "alphaedit": Row(
        layers=(13, 14, 15, 16, 17),
        values=_alphaedit({**_GPT, "steps": 20}, 10.0),
        source=ALPHA,
    ),
    "ft": Row(layers=(1,), values=_TUNE, source=ROME),
    "ft_l": Row(layers=(0,), values={**_TUNE, "epsilon": 5e-4}, source=ROME),
}
_GPT_J = {
    "rome": Row(layers=(5,), values={**_ONE, "steps": 20, "weight_decay": 0.5}, source=ROME),
    "r_rome": Row(
        layers=(5,), values={**_ONE, "steps": 20, "weight_decay": 0.5}, source=R_ROME
    ),
    "memit": Row(
        layers=(3, 4, 5, 6, 7, 8),
        values={**_GPT, "steps": 25, "weight": 15_000.0},
        source=MEMIT,
    ),
    # Its own file says 10,000; the file of its authors' unified objective, another one, says 1.
    "emmet": Row(layers=(5,), values=_emmet({**_GPT, "steps": 25}, 10_000.0), source=EMMET),
    "alphaedit": Row(
        layers=(3, 4, 5, 6, 7, 8), values=_alphaedit({**_GPT, "steps": 25}, 10.0), source=ALPHA
    ),
    "ft": Row(layers=(21,), values=_TUNE, source=ROME),
    "ft_l": Row(layers=(0,), values={**_TUNE, "epsilon": 5e-5}, source=ROME),
}
_LLAMA_3 = {
    "rome": _rome_later(ALPHA),
    "r_rome": _like(_rome_later(""), "rome"),
    "memit": Row(
        layers=(4, 5, 6, 7, 8),
        values={**_GPT, "lr": 0.1, "steps": 25, "weight": 15_000.0},
        source=ALPHA,
    ),
    "emmet": Row(layers=(5,), values=_emmet(_LLAMA, 1.0), source="from Llama 2 7B"),
    "alphaedit": Row(
        layers=(4, 5, 6, 7, 8),
        values=_alphaedit({**_GPT, "lr": 0.1, "steps": 25}, 10.0),
        source=ALPHA,
    ),
    "ft": Row(layers=(21,), values=_TUNE, source=ALPHA),
    "ft_l": _unbounded(21),
}
_LLAMA_2 = {
    "rome": _rome_later(EASY),
    "r_rome": _like(_rome_later(""), "rome"),
    "memit": Row(layers=(5,), values={**_LLAMA, "weight": 1.0}, source=EMMET),
    "emmet": Row(layers=(5,), values=_emmet(_LLAMA, 1.0), source=EMMET),
    "alphaedit": _like(_LLAMA_3["alphaedit"], "Llama 3 8B"),
    "ft": Row(layers=(21,), values=_TUNE, source=EASY),
    "ft_l": _unbounded(21),
}
_EASY_MEMIT = Row(layers=(4, 5, 6, 7, 8), values={**_LLAMA, "weight": 15_000.0}, source=EASY)
_MISTRAL = {
    "rome": _rome_later(EASY),
    "r_rome": _like(_rome_later(""), "rome"),
    "memit": _EASY_MEMIT,
    "emmet": _like(_LLAMA_2["emmet"], "Llama 2 7B"),
    "alphaedit": _like(_LLAMA_3["alphaedit"], "Llama 3 8B"),
    "ft": Row(layers=(21,), values=_TUNE, source=EASY),
    "ft_l": _unbounded(21),
}
_QWEN_2 = {
    "rome": _rome_later(EASY),
    "r_rome": _like(_rome_later(""), "rome"),
    "memit": _EASY_MEMIT,
    "emmet": _like(_LLAMA_2["emmet"], "Llama 2 7B"),
    "alphaedit": Row(layers=(4, 5, 6, 7, 8), values=_alphaedit(_LLAMA, 1.0), source=EASY),
    "ft": Row(layers=(27,), values=_TUNE, source=EASY),
    "ft_l": _unbounded(27),
}
# Nobody has published settings for it: those of the model before, ft at its last layer again.
_QWEN_3 = {
    name: _like(row, "Qwen 2.5 7B", layers=(35,) if name in ("ft", "ft_l") else ())
    for name, row in _QWEN_2.items()
}

MODELS: tuple[Known, ...] = (
    Known(name="GPT-2 XL", model_type="gpt2", layers=48, width=1600, mlp=6400, rows=_GPT2_XL),
    Known(name="GPT-J 6B", model_type="gptj", layers=28, width=4096, mlp=16384, rows=_GPT_J),
    Known(
        name="Llama 2 7B", model_type="llama", layers=32, width=4096, mlp=11008, rows=_LLAMA_2
    ),
    Known(
        name="Llama 3 8B", model_type="llama", layers=32, width=4096, mlp=14336, rows=_LLAMA_3
    ),
    Known(
        name="Mistral 7B", model_type="mistral", layers=32, width=4096, mlp=14336, rows=_MISTRAL
    ),
    Known(
        name="Qwen 2.5 7B", model_type="qwen2", layers=28, width=3584, mlp=18944, rows=_QWEN_2
    ),
    Known(name="Qwen 3 8B", model_type="qwen3", layers=36, width=4096, mlp=12288, rows=_QWEN_3),
)
# What transformers calls the sizes: in most architectures, in GPT-2 and GPT-J.
NAMES = {
    "layers": ("num_hidden_layers", "n_layer"),
    "width": ("hidden_size", "n_embd"),
    "mlp": ("intermediate_size", "n_inner"),
}


def known(config: Mapping[str, Any]) -> Known | None:
    """Return the model of this configuration (as in config.json), or None for any other."""
    size = {
        name: next((config[key] for key in keys if config.get(key) is not None), None)
        for name, keys in NAMES.items()
    }
    if size["mlp"] is None and isinstance(size["width"], int):
        size["mlp"] = 4 * size["width"]  # as GPT-2 and GPT-J take it
    for model in MODELS:
        shape = {"layers": model.layers, "width": model.width, "mlp": model.mlp}
        if config.get("model_type") == model.model_type and size == shape:
            return model
    return None


def published(method: str) -> frozenset[str]:
    """Return the settings of a method that some row has a number for."""
    rows = [model.rows[method] for model in MODELS if method in model.rows]
    return frozenset(name for row in rows for name in row.values or ())


def listed(method: str) -> bool:
    """Return whether some row is of the method: one that edits a few chosen layers."""
    return any(method in model.rows for model in MODELS)


def describe() -> list[dict[str, str]]:
    """Return one row a model and method, for people: model, method, layers, values, source."""
    return [
        {
            "model": model.name,
            "method": name,
            "layers": ", ".join(map(str, row.layers)),
            "values": ", ".join(f"{k} {_number(v)}" for k, v in (row.values or {}).items())
            or "-",
            "source": row.source,
        }
        for model in MODELS
        for name, row in model.rows.items()
    ]


def _number(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
