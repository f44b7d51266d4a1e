"""The two sides of `peer.py`: an editor of ksmith's and the public one, given the same numbers."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import decoders, processors
from torch import Tensor

from ksmith import settings
from ksmith.edit import EDITORS
from ksmith.lm.delta import Delta
from ksmith.lm.descend import units
from ksmith.lm.rows import at_subject, rows
from ksmith.lm.sites import sites
from ksmith.records import Request
from tests.benchmarks import public
from tests.benchmarks.trained import Small

STEPS, TUNED, KL, RIDGE = 20, 25, 0.0625, 1e-4  # steps of a search, of ft
SAMPLE = 50  # requests, whose values are what steps are measured by
_HELD = {"clamp": 4.0, "weight_decay": 1e-3}  # as in the public settings for Qwen and Llama

Draws = Sequence[Sequence[Request]]


@dataclass(frozen=True)
class Side:
    """One implementation of one method."""

    edit: Callable[[Draws], list[Delta]]
    seconds: list[float] = field(default_factory=list[float])  # of CPU time, an edit, by call
    deltas: list[Delta] = field(default_factory=list[Delta])

    def call(self, draws: Draws) -> None:
        """Edit, and keep what came of it."""
        start = time.process_time()
        found = self.edit(draws)
        self.seconds.append((time.process_time() - start) / sum(map(len, draws)))
        self.deltas.extend(found)


# --- what both are told -----------------------------------------------------------------------


@dataclass(frozen=True)
class Numbers:
    """The numbers of one method, in the absolute units of public code."""

    layers: tuple[int, ...]
    lr: float
    values: Mapping[str, float]  # clamp, weight_decay, and lambda of memit


def numbers(method: str, made: Small, layer: int) -> Numbers:
    """Return ksmith's default sizes, which are relative, as they come out on this model."""
    model, s, requests = made.model, sites(made.model), made.requests(SAMPLE)
    if method == "ft":
        return Numbers((layer,), units(model, [layer])[s.weight(layer)], {})
    layers = (layer,) if method == "rome" else (layer, layer + 1)
    asked = rows(made.tokenizer, requests, [""], None)
    site = s.mlp_out(layer) if method == "rome" else s.block(layers[-1])
    value = at_subject(model, asked, [site])[site]  # (n, d)
    lr = 0.2 * float(value.norm(dim=1).mean()) / value.shape[1] ** 0.5
    if method == "rome":
        return Numbers(layers, lr, _HELD)
    weight = 0.3 * len(made.moments[layer])
    return Numbers(layers, lr, {**_HELD, "weight": weight})


def ours(method: str, made: Small, own: Numbers) -> Side:
    """Return ksmith's method with these numbers."""
    given: dict[str, Any] = {"units": "absolute", "lr": own.lr, **own.values}
    if method == "ft":
        given |= {"layer": own.layers[0], "steps": TUNED, "stop_loss": 0.01}
    else:
        given |= {"steps": STEPS, "kl_weight": KL, "stop_loss": 0.05, "ridge": RIDGE}
        one = {"layer": own.layers[0]}
        given |= one if method == "rome" else {"layers": list(own.layers)}
        given |= {"contexts": 21 if method == "rome" else 6}
    hp = settings.method(method, given)
    assets = made.assets(own.layers[0])

    def edit(draws: Draws) -> list[Delta]:
        found = EDITORS[method](made.model, draws, hp, assets)
        return [result.delta for result in found]

    return Side(edit)


# --- the peer ---------------------------------------------------------------------------------


def theirs(method: str, made: Small, own: Numbers, folder: Path) -> Side:
    """Return the package's method with these numbers. Call within `public.imported`."""
    s = sites(made.model)
    moments: dict[str, Tensor] = {}
    for layer, moment in made.moments.items():
        ridge = RIDGE * moment.diagonal().mean() * torch.eye(len(moment), dtype=moment.dtype)
        moments[s.mlp_out(layer)] = moment + ridge
    contexts = made.contexts[: 20 if method == "rome" else 5]
    package = public.opened(folder, contexts, moments)
    hp = getattr(package, f"{method}_settings")(**_told(method, made, own))
    execute = getattr(package, method)
    tokenizer = _tokenizer(made, start=method != "ft")

    def edit(draws: Draws) -> list[Delta]:
        found: list[Delta] = []
        for draw in draws:
            asked = [_request(made, method, request) for request in draw]
            with public.silent():
                changed = execute(
                    made.model, tokenizer, asked[0] if method == "rome" else asked, hp
                )
            found.append({name: _dense(made, block) for name, block in changed.items()})
        made.model.requires_grad_(False)  # it leaves ft's matrix asking for a gradient
        return found

    return Side(edit)


def _told(method: str, made: Small, own: Numbers) -> dict[str, Any]:
    """Return what the class of the method's hyperparameters is called with."""
    s = sites(made.model)

    def at(name: str) -> str:
        return name.replace(".0", ".{}", 1)

    told: dict[str, Any] = {
        "layers": list(own.layers),
        "rewrite_module_tmp": at(s.mlp_out(0)),
        "layer_module_tmp": at(s.block(0)),
        "mlp_module_tmp": at(s.mlp(0)),
        "attn_module_tmp": "",
        "ln_f_module": s.norm,
        "lm_head_module": _head(made),
        "device": "cpu",
        "alg_name": method.upper(),
        "model_name": "small",
        "kl_factor": KL,
    }
    if method == "ft":
        return told | {
            "num_steps": TUNED,
            "lr": own.lr,
            "weight_decay": 0,
            "norm_constraint": False,
            "batch_size": 10**6,
        }
    told |= {
        "fact_token": "subject_last",
        "v_num_grad_steps": STEPS,
        "v_lr": own.lr,
        "v_loss_layer": s.n_layers - 1,
        "v_weight_decay": own.values["weight_decay"],
        "clamp_norm_factor": own.values["clamp"],
        "mom2_adjustment": True,
        "mom2_dataset": "",
        "mom2_n_samples": 0,
        "mom2_dtype": "float64",
        "stats_dir": "",
    }
    if method == "rome":
        return told | {"context_template_length_params": []}
    return told | {"layer_selection": "all", "mom2_update_weight": own.values["weight"]}


def _head(made: Small) -> str:
    """Return the name under which the package finds the head's weight: a tied one has another."""
    weight = made.model.get_submodule(sites(made.model).head).get_parameter("weight")
    names = [name for name, other in made.model.named_parameters() if other is weight]
    return names[0].removesuffix(".weight")


def _tokenizer(made: Small, *, start: bool) -> Any:
    """Return the tokenizer as the package needs it.

    It puts an answer of several tokens behind a prompt by decoding them: a decoder that drops the
    first space, as Llama's do, too, would glue the two together. And its ft takes the start token
    for part of the answer: there it stands in the prompt's text.
    """
    tokenizer = copy.deepcopy(made.tokenizer)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    backend: Any = tokenizer.backend_tokenizer
    backend.decoder = decoders.Replace("▁", " ")
    if not start:
        backend.post_processor = processors.Sequence([])
    return tokenizer


def _request(made: Small, method: str, request: Request) -> dict[str, str]:
    prompt = request.template
    if method == "ft":
        prompt = f"{made.tokenizer.bos_token} {request.prompt}"
    return {
        "case_id": request.id,
        "prompt": prompt,
        "subject": request.subject,
        "target_new": request.new,
    }


def _dense(made: Small, block: Any) -> Tensor:
    """Return a change as the package gives it, in the layout of the weight, float32."""
    if isinstance(block, Tensor):
        return block
    left, right = block  # of keys, of values: vectors of rome, matrices of memit
    columns = [part[:, None] if part.dim() == 1 else part for part in (left, right)]
    whole = columns[0] @ columns[1].T  # (f, d)
    return (whole if sites(made.model).transposed else whole.T).float()
