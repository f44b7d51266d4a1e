import json
import pickle
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import networkx as nx
import pytest

from ksmith import graph
from ksmith.graph import KnowledgeGraph
from ksmith.graph.rings import layout
from ksmith.records import UserError
from tests.graph.conftest import SETTINGS, Write, counterfact, town_records


def test_what_is_saved_is_what_is_loaded(world: KnowledgeGraph, tmp_path: Path) -> None:
    graph.save(world, tmp_path)
    assert graph.load(tmp_path) == world
    again = tmp_path / "again"
    again.mkdir()
    graph.save(graph.build(SETTINGS, {}), again)
    assert (again / "graph.json").read_bytes() == (tmp_path / "graph.json").read_bytes()


def test_a_copy_in_another_process_is_the_graph_without_what_is_derived(
    world: KnowledgeGraph,
) -> None:
    for known in (world, graph.build(SETTINGS | {"several": True, "aliases": 0.3}, {})):
        assert len(known.stated) > len(known.sharing) > 0
        copy = pickle.loads(pickle.dumps(known))
        assert copy == known and not {"stated", "sharing"} & vars(copy).keys()
        assert copy.worded("emblem", (0, 2)) == known.worded("emblem", (0, 2))


def test_json_is_node_link_and_graphml_is_read_by_others(
    world: KnowledgeGraph, tmp_path: Path
) -> None:
    graph.save(world, tmp_path)
    data = json.loads((tmp_path / "graph.json").read_text(encoding="utf-8"))
    linked = nx.node_link_graph(data, edges="edges")
    marked = nx.read_graphml(tmp_path / "graph.graphml")
    assert linked.number_of_edges() == marked.number_of_edges() == len(world.facts)
    assert set(linked) == set(marked)
    root = next(entity.name for entity in world.entities if entity.level == "root")
    assert marked.nodes[root]["level"] == "root"
    tree = nx.DiGraph(
        (a, b) for a, b, relation in linked.edges(keys=True) if relation == "part_of"
    )
    assert nx.is_directed_acyclic_graph(tree)


def test_a_benchmark_is_saved_with_its_records(write: Write, tmp_path: Path) -> None:
    built = graph.build(counterfact(), write(town_records()))
    graph.save(built, tmp_path)
    assert graph.load(tmp_path) == built
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_has_every_entity_once_and_levels_as_rings(world: KnowledgeGraph) -> None:
    rings = layout(world)
    backwards = replace(world, entities=world.entities[::-1])  # as a file may name them
    assert list(layout(backwards)) == list(rings) == ["root", "intermediate", "leaf", "person"]
    assert sorted(n for ring in rings.values() for n in ring) == sorted(world.entity)
    radii = [
        {round((x * x + y * y) ** 0.5, 6) for x, y in ring.values()} for ring in rings.values()
    ]
    assert all(len(radius) == 1 for radius in radii)
    assert radii == sorted(radii, key=min)


def test_names_that_xml_and_fonts_cannot_hold(world: KnowledgeGraph, tmp_path: Path) -> None:
    odd = ["a\x00b", "c\x0bd", "$x_{$", "مدينة", "東京\ufffe", "<&\"'>"]
    entities = tuple(
        replace(entity, name=odd[i] if i < len(odd) else entity.name)
        for i, entity in enumerate(world.entities)
    )
    renamed = dict(zip((e.name for e in world.entities), odd, strict=False))
    facts = tuple(
        replace(
            fact,
            subject=renamed.get(fact.subject, fact.subject),
            object=renamed.get(fact.object, fact.object),
        )
        for fact in world.facts
    )
    strange = replace(world, entities=entities, facts=facts)
    graph.save(strange, tmp_path)
    assert graph.load(tmp_path) == strange
    assert len(ElementTree.parse(tmp_path / "graph.graphml").getroot()) > 0


def test_a_folder_without_a_graph_or_with_another_format(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"graph\.json is missing"):
        graph.load(tmp_path)
    (tmp_path / "graph.json").write_text('{"graph": {"format": 99}}')
    with pytest.raises(UserError, match="not a graph of this version"):
        graph.load(tmp_path)
