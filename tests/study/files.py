"""Study files for the tests of this room."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ksmith.records import StudyError
from ksmith.study import Point, nodes, read
from ksmith.study.identity import METHODS

HEAD = 'name = "x"\n'
ROME = HEAD + '[task]\nmethod = "rome"\n'


def written(folder: Path, text: str, name: str = "x.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(path: Path, *overrides: str) -> list[str]:
    """Return the lines of the error, each without the name of the folder."""
    with pytest.raises(StudyError) as raised:
        read(path, overrides)
    return str(raised.value).replace(f"{path.parent}/", "").splitlines()


def only(path: Path, *overrides: str, methods: Mapping[str, type[Any]] = METHODS) -> Point:
    """Return the one trial of a study."""
    (point,) = read(path, overrides, methods=methods).points
    return point


def keys(point: Point, methods: Mapping[str, type[Any]] = METHODS) -> dict[str, str]:
    """Return the key of each node of a trial, by role."""
    return {role: node.key for role, node in nodes(point, methods).items()}


CONFIGS: dict[str, dict[str, Any]] = {
    "judge_nli": {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "ENTAILMENT", "1": "neutral", "2": "Contradiction"},
    },
    "judge_similarity": {"architectures": ["BertModel"]},
    "judge_entities": {
        "architectures": ["BertForTokenClassification"],
        "id2label": {"0": "O", "1": "B-PER"},
    },
}


def readers(folder: Path, role: str, **more: Any) -> Path:
    """Return a folder that a study takes for a model that reads; `more` goes into its config."""
    folder.mkdir(exist_ok=True)
    config = {k: v for k, v in (CONFIGS[role] | more).items() if v is not None}
    for name, value in {
        "config.json": config,
        "tokenizer.json": {},
        "model.safetensors": {},
    }.items():
        written(folder, json.dumps(value), name)
    return folder
