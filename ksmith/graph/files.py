"""A graph as files: node-link JSON (complete), GraphML (for other tools) and a drawing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import networkx as nx

from ksmith.graph.draw import draw
from ksmith.graph.knowledge import (
    Asked,
    Entity,
    Fact,
    KnowledgeGraph,
    Rates,
    Record,
    Relation,
)
from ksmith.graph.rules import Rule
from ksmith.records import Json, UserError

LEFT_OUT = ("reworded", "wrong", "about")  # of a record that has none
FORMAT = 2  # raise it when graph.json changes its shape


def save(graph: KnowledgeGraph, folder: Path) -> None:
    """Write graph.json, graph.graphml and graph.png into `folder`."""
    text = json.dumps(node_link(graph), ensure_ascii=False, indent=1)
    (folder / "graph.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    nx.write_graphml(printable(graph), folder / "graph.graphml")
    draw(graph, folder / "graph.png")


def load(folder: Path) -> KnowledgeGraph:
    """Return the graph that `save` wrote.

    Raises:
        UserError: no graph.json, or one of another version.
    """
    path = folder / "graph.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no graph in {folder}: graph.json is missing") from None
    if data.get("graph", {}).get("format") != FORMAT:
        raise UserError(f"{path}: not a graph of this version of ksmith (format {FORMAT})")
    about = data["graph"]
    return KnowledgeGraph(
        source=about["source"],
        settings=about["settings"],
        types={name: tuple(objects) for name, objects in about["types"].items()},
        entities=tuple(
            Entity(
                name=node["id"],
                aliases=tuple(node["aliases"]),
                **_given(node, "type", "level", "depth", "domain"),
            )
            for node in data["nodes"]
            if "type" in node
        ),
        relations=tuple(_frozen(Relation, row) for row in about["relations"]),
        rules=tuple(_frozen(Rule, row) for row in about["rules"]),
        facts=tuple(_fact(edge) for edge in data["edges"]),
        leads=tuple(about["leads"]),
        held=tuple(about["held"]),
        strangers=tuple(about["strangers"]),
        typed=about["typed"],
        rates=Rates(**about["rates"]),
        records=tuple(_record(row) for row in about["records"]),
        holdout=tuple(_frozen(Fact, row) for row in about.get("holdout", ())),
        # Graphs of before there were such have none.
        blocked=tuple((s, r) for s, r in about.get("blocked", ())),
        counts=about["counts"],
    )


def node_link(graph: KnowledgeGraph) -> dict[str, Json]:
    """Return the graph as `networkx.node_link_graph(data, edges="edges")` reads it.

    Nodes are entities, then the other objects; edges are facts, with their relation as key.
    """
    others = dict.fromkeys(fact.object for fact in graph.facts)
    nodes: list[dict[str, Json]] = [
        {
            "id": e.name,
            "type": e.type,
            "level": e.level,
            "depth": e.depth,
            "domain": e.domain,
            "aliases": list(e.aliases),
        }
        for e in graph.entities
    ]
    nodes += [{"id": name} for name in others if name not in graph.entity]
    edges = [
        {
            "source": fact.subject,
            "target": fact.object,
            "key": fact.relation,
            "base": fact.base,
            "editable": fact.editable,
            "wordings": list(fact.wordings),
            **({"invented": True} if fact.invented else {}),
        }
        for fact in graph.facts
    ]
    about = {
        "format": FORMAT,
        "source": graph.source,
        "settings": dict(graph.settings),
        "types": {name: list(objects) for name, objects in graph.types.items()},
        "relations": [asdict(relation) for relation in graph.relations],
        "rules": [_rule(rule) for rule in graph.rules],
        "leads": list(graph.leads),
        "held": list(graph.held),
        "strangers": list(graph.strangers),
        "typed": graph.typed,
        "rates": asdict(graph.rates),
        "records": [_given_record(record) for record in graph.records],
        **({"holdout": [asdict(fact) for fact in graph.holdout]} if graph.holdout else {}),
        "blocked": [list(key) for key in graph.blocked],
        "counts": dict(graph.counts),
    }
    return {
        "directed": True,
        "multigraph": True,
        "graph": about,
        "nodes": nodes,
        "edges": edges,
    }


def printable(graph: KnowledgeGraph) -> "nx.MultiDiGraph[str]":
    """Return the graph for GraphML: scalar attributes, and no character that XML forbids."""
    drawn: nx.MultiDiGraph[str] = nx.MultiDiGraph(source=graph.source)
    for entity in graph.entities:
        drawn.add_node(
            _xml(entity.name),
            type=entity.type,
            level=entity.level or "",
            depth=entity.depth,
            domain=entity.domain or "",
            aliases=_xml(" | ".join(entity.aliases)),
        )
    for fact in graph.facts:
        drawn.add_edge(
            _xml(fact.subject),
            _xml(fact.object),
            key=fact.relation,
            relation=fact.relation,
            base=fact.base,
            stored=fact.stored,
            editable=fact.editable,
            exposure=len(fact.wordings),
        )
    return drawn


def _xml(text: str) -> str:
    """Return `text` with U+FFFD for what XML 1.0 cannot hold."""
    return "".join(c if c >= " " and c not in "\ufffe\uffff" else "\ufffd" for c in text)


def _rule(rule: Rule) -> dict[str, Json]:
    # What most rules are not is left out, so that their graphs are the bytes that they were.
    return {k: v for k, v in asdict(rule).items() if v or k != "mirror"}


def _given_record(record: Record) -> dict[str, Json]:
    return {k: v for k, v in asdict(record).items() if v or k not in LEFT_OUT}


def _given(row: Mapping[str, Json], *names: str) -> dict[str, Json]:
    return {name: row[name] for name in names}


def _fact(edge: Mapping[str, Json]) -> Fact:
    return Fact(
        subject=edge["source"],
        relation=edge["key"],
        object=edge["target"],
        base=edge["base"],
        editable=edge["editable"],
        wordings=tuple(edge["wordings"]),
        invented=edge.get("invented", False),
    )


def _record(row: Mapping[str, Json]) -> Record:
    asked: Mapping[str, Iterable[Mapping[str, Json]]] = row
    return Record(
        **_given(row, "case", "fact", "template", "new"),
        paraphrases=tuple(_frozen(Asked, item) for item in asked["paraphrases"]),
        neighbours=tuple(_frozen(Asked, item) for item in asked["neighbours"]),
        attributes=tuple(_frozen(Asked, item) for item in asked.get("attributes", ())),
        generation=tuple(row.get("generation", ())),
        reworded=row.get("reworded", ""),
        wrong=tuple(row.get("wrong", ())),
        about=row.get("about", ""),
    )


def _frozen(kind: Any, row: Mapping[str, Json]) -> Any:
    """Return the dataclass `kind` of a JSON object, whose lists become tuples.

    What an older file lacks has its default.
    """
    values = {field.name: row[field.name] for field in fields(kind) if field.name in row}
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
