"""Models that read what is written (`probe.judge_*`): what their folders must hold.

    judge_nli          says whether a text contradicts another    ...ForSequenceClassification
    judge_similarity   makes a vector of a text                   an encoder, mean of its states
    judge_entities     marks the names in a text                  ...ForTokenClassification

A judge is in a folder, or on the hub as `name@revision`: in the hub's cache it is read where it
lies, and known by what is in its files as in any folder; one that is not there is known by its
commit. All of it is read without torch, so that a study can be refused before anything is stored.
What is in the files is data: nothing of it is run.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ksmith.settings.model import model_files

CONTRADICTION = "contradiction"  # the label that a judge of contradiction must have
OUTSIDE = "O"  # ... and what a judge of entities says of a word that is in none
# What sentence-transformers keeps beside a model, and what is done with its states by it.
LAYOUT = ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json")
STEPS = ("Transformer", "Pooling", "Normalize")
TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)


# What is fetched of a judge on the hub: weights, words, and what says how to read with them.
FETCHED = (*TOKENIZERS, *LAYOUT, "*.safetensors", "*.json", "merges.txt", "added_tokens.json")
COMMIT = re.compile(r"[0-9a-f]{40}")
_ON_HUB = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?)"
    r"(@(?P<revision>[A-Za-z0-9][\w.-]{0,95}))?",
    re.ASCII,
)


def on_hub(given: str) -> tuple[str, str] | None:
    """Return the name on the hub and the revision that a setting names; None where it can't."""
    found = _ON_HUB.fullmatch(given)
    return (found["name"], found["revision"] or "main") if found else None


def in_cache(name: str, revision: str) -> Path | None:
    """Return the folder of the hub's cache that has all of a model; None where none has.

    Its name is the commit. A model whose weights are pickled is whole without safetensors: what
    is wrong with it is said, not that it must be fetched.
    """
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(name, "config.json", revision=revision)
    if not isinstance(file, str):
        return None
    folder = Path(file).parent
    weights = {path.name for path in folder.glob("*.safetensors")}
    pickled = any(folder.glob("*.bin"))
    return folder if (weights or pickled) and _shards(folder) <= weights else None


def _shards(folder: Path) -> set[str]:
    """Return the files that weights in several files are in; what can't be read names none."""
    index = folder / "model.safetensors.index.json"
    try:
        named = _object(index).get("weight_map") if index.is_file() else None
    except (OSError, ValueError, RecursionError):
        return set()
    return {str(file) for file in named.values()} if isinstance(named, dict) else set()


def judge_files(folder: Path) -> dict[str, Path]:
    """Return the files that decide what a judge says, by their names in the folder."""
    found = {path.name: path for path in model_files(folder)}
    return found | {name: folder / name for name in LAYOUT if (folder / name).is_file()}


def wrong(role: str, folder: Path) -> str:
    """Return why the model in a folder can't be the judge `role`; "" where it can."""
    try:
        config = _object(folder / "config.json")
        if reason := _of_files(folder) or of_config(role, config):
            return reason
        return _of_layout(folder) if role == "judge_similarity" else ""
    except FileNotFoundError as error:
        return f"no model in {folder}: {Path(error.filename).name} is missing"
    except OSError as error:
        return f"{error.filename} cannot be read"
    except (ValueError, RecursionError) as error:
        return f"{folder}: {error}"


def _of_files(folder: Path) -> str:
    if not any(folder.glob("*.safetensors")):
        kinds = ("*.bin", "*.pt", "*.pth")
        pickled = sorted(path.name for kind in kinds for path in folder.glob(kind))
        only = f"only {', '.join(pickled)}, which can run code when opened"
        return (
            f"no safetensors in {folder}, {only if pickled else 'no weights'}; convert with "
            "save_pretrained first"
        )
    if not any((folder / name).is_file() for name in TOKENIZERS):
        return f"no tokenizer in {folder} (tokenizer.json, say)"
    return ""


def of_config(role: str, config: Mapping[str, Any]) -> str:
    """Return what is wrong with the configuration of the judge `role`; "" where nothing is."""
    if config.get("auto_map"):
        return "brings its own code (auto_map in config.json), which is never run"
    kinds = config.get("architectures")
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        kinds = []
    fits, wanted = ROLES[role]
    if not any(map(fits, kinds)):
        return f"is {' and '.join(kinds) or 'of no architecture'}, and must be {wanted}"
    if role == "judge_nli":
        return _of_nli(config)
    return _of_tags(config) if role == "judge_entities" else ""


def _encodes(kind: str) -> bool:
    ends = kind.endswith(("Model", "ForMaskedLM"))
    return ends and not kind.endswith(("LMHeadModel", "HeadsModel", "T5Model"))


ROLES: dict[str, tuple[Callable[[str], bool], str]] = {
    "judge_nli": (
        lambda kind: kind.endswith("ForSequenceClassification"),
        "a model for sequence classification: of two texts, entailment, neutral, contradiction",
    ),
    "judge_similarity": (_encodes, "an encoder of sentences without a head"),
    "judge_entities": (
        lambda kind: kind.endswith("ForTokenClassification"),
        "a model for token classification, which marks names",
    ),
}


def labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a classifier can say, by number; () where its configuration does not say."""
    given = config.get("id2label")
    if not isinstance(given, Mapping):
        return ()
    by = {str(key): str(value) for key, value in given.items()}
    found = [by.get(str(number)) for number in range(len(by))]
    return tuple(name for name in found if name is not None) if None not in found else ()


def contradiction(names: tuple[str, ...]) -> int | None:
    """Return the number of the label that says so, whatever its case; None: not exactly one."""
    at = [i for i, name in enumerate(names) if name.strip().casefold() == CONTRADICTION]
    return at[0] if len(at) == 1 else None


def _of_nli(config: Mapping[str, Any]) -> str:
    found = labels(config)
    if contradiction(found) is not None and len(found) > 1:
        return ""
    said = ", ".join(found) or "none"
    return f"its labels (id2label in config.json) are {said}; one must be contradiction"


def _of_tags(config: Mapping[str, Any]) -> str:
    found = labels(config)
    if OUTSIDE in found and len(found) > 1:
        return ""
    said = ", ".join(found) or "none"
    return (
        f"its labels (id2label in config.json) are {said}; there must be O, for words that are "
        "in no entity, and another"
    )


def _of_layout(folder: Path) -> str:
    """Return what a folder of sentence-transformers does with states that is not their mean."""
    modules = folder / "modules.json"
    steps = _modules(modules) if modules.is_file() else []
    if other := [kind for kind in steps if kind not in STEPS]:
        return f"its modules.json has {', '.join(other)}; known are {', '.join(STEPS)}"
    pooling = folder / "1_Pooling" / "config.json"
    if not pooling.is_file():
        return ""
    how = _object(pooling)
    by_name = str(how.get("pooling_mode", ""))
    ways = [by_name] if by_name else [k[13:] for k, v in how.items() if _pools(k, v)]
    if ways in (["mean"], ["mean_tokens"]):
        return ""
    return f"pools its states by {', '.join(ways) or 'nothing'}; only their mean is taken"


def _modules(path: Path) -> list[str]:
    """Return the last names of the classes that modules.json lists."""
    listed = _read(path)
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ValueError(f"{path.name} is no JSON list of objects")
    return [str(one.get("type")).rpartition(".")[2] for one in listed]


def _pools(key: str, value: object) -> bool:
    return key.startswith("pooling_mode_") and value is True


def longest(folder: Path) -> int | None:
    """Return how many tokens sentence-transformers gives a model; None where nobody says."""
    path = folder / "sentence_bert_config.json"
    found = _object(path).get("max_seq_length") if path.is_file() else None
    return found if isinstance(found, int) and found > 0 else None


def _object(path: Path) -> dict[str, Any]:
    made = _read(path)
    if not isinstance(made, dict):
        raise ValueError(f"{path.name} is no JSON object")
    return made


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is no JSON: {error}") from None
