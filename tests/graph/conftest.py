import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ksmith import graph
from ksmith.graph import KnowledgeGraph

SETTINGS = {"source": "synthetic", "seed": 0, "version": 1, "facts": 300, "stored": 0.7}

Write = Callable[[Any], dict[str, str]]


@pytest.fixture(scope="session")
def world() -> KnowledgeGraph:
    return graph.build(SETTINGS, {})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes a CounterFact file and returns what `build` wants as `files`."""

    def written(rows: Any) -> dict[str, str]:
        path = tmp_path / "records.json"
        path.write_text(rows if isinstance(rows, str) else json.dumps(rows), encoding="utf-8")
        return {"graph.path": str(path)}

    return written


def record(case: int, subject: str, true: str, new: str, **changed: Any) -> dict[str, Any]:
    """Return a record of our own in CounterFact's format: cities and the rivers they lie on."""
    others = {name: [f"{name}ville", f"Old {name}", f"{name} Port"] for name in (true, new)}
    return {
        "case_id": case,
        "pararel_idx": 1,
        "requested_rewrite": {
            "prompt": "{} lies on the river",
            "relation_id": "R1",
            "subject": subject,
            "target_new": {"id": "Q1", "str": new},
            "target_true": {"id": "Q2", "str": true},
        },
        "paraphrase_prompts": [
            f"It rained all day. The river that flows through {subject} is",
            f"Nobody had seen it coming.\n{subject}, on the banks of",
        ],
        "neighborhood_prompts": [f"{name} lies on the river" for name in others[true]],
        "attribute_prompts": [
            f"The river that flows through {name} is" for name in others[new]
        ],
        "generation_prompts": [],
    } | changed


def ruled(case: int, subject: str, true: str, new: str) -> dict[str, Any]:
    """Return a record of another relation, in other words."""
    return record(case, subject, true, new) | {
        "requested_rewrite": {
            "prompt": "The mayor of {} is",
            "relation_id": "R2",
            "subject": subject,
            "target_new": {"str": new},
            "target_true": {"str": true},
        },
        "paraphrase_prompts": [
            f"Dinner was late. {subject} is governed by",
            f"See also. {subject} voted for",
        ],
        "neighborhood_prompts": [f"The mayor of {true}burg is", f"{true}wick voted for"],
        "attribute_prompts": [f"The mayor of {new}burg is", f"{new}wick is governed by"],
    }


def town_records() -> list[dict[str, Any]]:
    rivers = ["Elbe", "Oder", "Rhine", "Loire"]
    people = ["Ada", "Bob", "Cleo", "Dan"]
    towns = [record(i, f"Town{i}", rivers[i % 4], rivers[(i + 1) % 4]) for i in range(8)]
    return towns + [
        ruled(20 + i, f"City{i}", people[i % 4], people[(i + 1) % 4]) for i in range(8)
    ]


def counterfact(records: int = 16, seed: int = 0) -> dict[str, Any]:
    return {"source": "counterfact", "seed": seed, "version": 1, "records": records}
