"""Open a model in transformers' format: safetensors only, nothing unpickled, no own code."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ksmith.records import UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load(
    source: str | Path,
    revision: str | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    kind: Any = AutoModelForCausalLM,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model, evaluating and with gradients off, and its tokenizer.

    A folder is read without any network; another name is one on the hub. The tokenizer gets a
    pad token where it has none, and takes no longer row than the model, in memory only. `kind`
    is the class of transformers that opens it.

    Raises:
        UserError: nothing there, no safetensors, code of its own, or a hub out of reach; of
            what is no causal model, weights that are not there.
    """
    if dtype not in DTYPES:
        raise UserError(f"no dtype {dtype!r}; there are: {', '.join(DTYPES)}")
    tokenizer, config = _words(source, revision)
    options = _options(source, revision)
    try:
        opening = {"dtype": DTYPES[dtype], "use_safetensors": True, "output_loading_info": True}
        model, told = kind.from_pretrained(source, config=config, **opening, **options)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(_explained(str(source), revision, error)) from error
    if kind is not AutoModelForCausalLM:
        _check_whole(str(source), type(model).__name__, told["missing_keys"])
    torch.nn.Module.to(model, device)
    model.eval().requires_grad_(False)
    return model, tokenizer


def words(source: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model, as `load` does, before its weights are fetched and read.

    Raises:
        UserError: see `load`.
    """
    return _words(source, revision)[0]


def _words(
    source: str | Path, revision: str | None
) -> tuple[PreTrainedTokenizerBase, PretrainedConfig]:
    if Path(source).is_dir():
        _check_folder(Path(source))
    options = _options(source, revision)
    try:
        config = AutoConfig.from_pretrained(source, **options)
        _check_config(config.to_dict(), str(source))
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        raise UserError(_explained(str(source), revision, error)) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token
    there = getattr(config, "max_position_embeddings", None)
    if there:  # many a tokenizer says 1e30: a longer row would end in an index out of range
        tokenizer.model_max_length = min(tokenizer.model_max_length, int(there))
    return tokenizer, config


def _options(source: str | Path, revision: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"revision": revision or "main", "trust_remote_code": False}
    return options | ({"local_files_only": True} if Path(source).is_dir() else {})


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a folder that `load`, and `AutoModelForCausalLM` alone, open bit for bit."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):
        # Written for their owner alone; the others of a group read them, too.
        weights.chmod((folder / "config.json").stat().st_mode)


def _check_folder(folder: Path) -> None:
    config = folder / "config.json"
    if not config.is_file():
        raise UserError(f"no model in {folder}: config.json is missing")
    try:
        _check_config(json.loads(config.read_text(encoding="utf-8")), str(folder))
    except json.JSONDecodeError as error:
        raise UserError(f"{config} is no JSON: {error}") from error
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(
        p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in folder.glob(pattern)
    )
    found = (
        f"only {', '.join(pickled)}, which can run code when opened"
        if pickled
        else "no weights"
    )
    raise UserError(f"no safetensors in {folder}, {found}; convert with save_pretrained first")


def _check_config(config: dict[str, Any], source: str) -> None:
    if config.get("auto_map"):
        raise UserError(
            f"{source} brings its own code (auto_map in config.json), which is never run"
        )


def _check_whole(source: str, kind: str, missing: Iterable[str]) -> None:
    """Raise UserError where weights would be random ones, but for the pooler's, not looked at."""
    if lacks := sorted(name for name in missing if "pooler." not in name):
        raise UserError(f"{source} lacks weights of a {kind}: {', '.join(lacks[:5])}")


def _explained(source: str, revision: str | None, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(source).is_dir():
        return f"cannot open the model in {source}: {first}"
    at = f" at {revision}" if revision else ""
    return f"cannot get the model {source!r}{at}, no folder, from the hub or its cache: {first}"
