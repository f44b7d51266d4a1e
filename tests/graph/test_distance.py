"""Steps along facts, against networkx."""

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from ksmith.graph import KnowledgeGraph
from ksmith.graph.distance import distances

PAIRS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=25)


@given(PAIRS, PAIRS, st.sets(st.integers(0, 12), max_size=4), st.sampled_from([None, 0, 1, 3]))
def test_distances_are_those_of_networkx(
    pairs: list[tuple[int, int]],
    more: list[tuple[int, int]],
    start: set[int],
    limit: int | None,
) -> None:
    links: dict[str, list[str]] = {}
    for one, other in pairs:
        links.setdefault(str(one), []).append(str(other))
        links.setdefault(str(other), []).append(str(one))
    names = {str(name) for name in start}
    added = [(str(one), str(other)) for one, other in more]
    joined = nx.Graph([(str(one), str(other)) for one, other in [*pairs, *more]])
    joined.add_nodes_from(names)
    wanted = nx.multi_source_dijkstra_path_length(joined, names, cutoff=limit) if names else {}
    assert distances(links, names, added, limit) == wanted


def test_what_facts_say_of_two_entities_joins_them_and_words_do_not(
    world: KnowledgeGraph,
) -> None:
    colours = set(world.types["colour"])
    assert world.links and colours.isdisjoint(world.links)
    for one, ends in world.links.items():
        assert len(set(ends)) == len(ends)
        for other in ends:
            assert one in world.links[other]
            facts = [*world.about[one], *world.about[other]]
            assert any({fact.subject, fact.object} == {one, other} for fact in facts)
