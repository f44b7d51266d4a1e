"""Knowledge graphs: where facts come from, how they are worded, what follows from a change.

No torch here: both halves of ksmith may ask a graph.
"""

from collections.abc import Mapping
from pathlib import Path

from ksmith.graph import counterfact, synthetic
from ksmith.graph.after import after
from ksmith.graph.asking import check, requests
from ksmith.graph.change import entail
from ksmith.graph.files import load, save
from ksmith.graph.knowledge import (
    NEUTRAL,
    Change,
    Changed,
    Entity,
    Fact,
    KnowledgeGraph,
    Relation,
    Sentence,
)
from ksmith.graph.rules import Rule, closure
from ksmith.graph.statements import (
    inverse,
    neighbours,
    neutral,
    objects,
    paraphrases,
    retain,
    same_subject,
    seen,
    statement,
)
from ksmith.graph.text import contexts, held_out, kl_template, sentences
from ksmith.records import Json, UserError

__all__ = [
    "NEUTRAL",
    "Change",
    "Changed",
    "Entity",
    "Fact",
    "KnowledgeGraph",
    "Relation",
    "Rule",
    "Sentence",
    "after",
    "build",
    "check",
    "closure",
    "contexts",
    "entail",
    "held_out",
    "inverse",
    "kl_template",
    "load",
    "neighbours",
    "neutral",
    "objects",
    "paraphrases",
    "requests",
    "retain",
    "same_subject",
    "save",
    "seen",
    "sentences",
    "statement",
]


def build(settings: Mapping[str, Json], files: Mapping[str, str]) -> KnowledgeGraph:
    """Return the graph of `settings`; `files` says where its data files are.

    Raises:
        UserError: no such source, or settings or data that the source can't make a graph of.
    """
    source = settings["source"]
    if source == "synthetic":
        return synthetic.build(settings)
    if source == "counterfact":
        return counterfact.build(settings, Path(files["graph.path"]))
    raise UserError(f"no graph source {source!r}; there are counterfact, synthetic")
