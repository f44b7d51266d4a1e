"""Knowledge graphs: where facts come from, how they are worded, what follows from a change.

No torch here: both halves of ksmith may ask a graph.
"""

from collections.abc import Mapping
from pathlib import Path

from ksmith.graph import counterfact, geography, qa, synthetic, triples, zsre
from ksmith.graph.after import after
from ksmith.graph.asking import check, drawn_of, nothing_left, requests
from ksmith.graph.benchmarks import attributes, generation_prompts
from ksmith.graph.change import entail
from ksmith.graph.files import load, save
from ksmith.graph.instead import Learnt, completions, given, instead, unknowing
from ksmith.graph.kept import kept
from ksmith.graph.knowledge import (
    NEUTRAL,
    Change,
    Changed,
    Entity,
    Fact,
    KnowledgeGraph,
    Relation,
    Sentence,
    Several,
)
from ksmith.graph.notation import told
from ksmith.graph.rules import Rule, closure
from ksmith.graph.statements import (
    holdout,
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
    "Learnt",
    "Relation",
    "Rule",
    "Sentence",
    "Several",
    "after",
    "attributes",
    "build",
    "check",
    "closure",
    "completions",
    "contexts",
    "drawn_of",
    "entail",
    "generation_prompts",
    "given",
    "held_out",
    "holdout",
    "instead",
    "inverse",
    "kept",
    "kl_template",
    "load",
    "neighbours",
    "neutral",
    "nothing_left",
    "objects",
    "paraphrases",
    "requests",
    "retain",
    "same_subject",
    "save",
    "seen",
    "sentences",
    "statement",
    "told",
    "unknowing",
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
    if source == "zsre":
        return zsre.build(settings, Path(files["graph.path"]))
    if source == "geography":
        return geography.build(settings)
    if source == "triples":
        templates = files.get("graph.templates")
        path = Path(files["graph.path"])
        return triples.build(settings, path, Path(templates) if templates else None)
    if source == "qa":
        return qa.build(settings, files)
    there = "counterfact, geography, qa, synthetic, triples, zsre"
    raise UserError(f"no graph source {source!r}; there are {there}")
