"""The graph after a change: the world in which the requested answers were always true.

A model that is trained on its text, by the recipe of the one under study, is the gold model of
editing; of unlearning, where the requested facts are in no text. What did not change is told in
the same words. What did is told as often: a new fact takes the wordings of the one whose place
it takes, so that exposure is no difference between the two texts.
"""

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ksmith.graph.change import settled
from ksmith.graph.knowledge import Fact, KnowledgeGraph
from ksmith.graph.rules import Triple, declared_keys
from ksmith.records import Request, derived_seed


def after(graph: KnowledgeGraph, requests: Sequence[Request]) -> KnowledgeGraph:
    """Return the graph in which the requests of one draw hold, with all that follows from them.

    Its facts are those that `entail` compares with: what is declared after the change, closed
    under the rules. Entities, types and carrier sentences stay, so no name leaves the
    vocabulary, and the questions about a type have the same candidates.

    Raises:
        UserError: requests that contradict each other, change nothing, or name no fact.
    """
    if not requests:
        return graph
    revision, difference = settled(graph, requests)
    declared = (graph.declared - revision.removed.keys()).union(revision.added)
    heirs = _heirs([f for f in graph.facts if f.triple in difference.gone], difference.new)
    facts: list[Fact] = []
    for fact in graph.facts:
        if fact.triple not in difference.gone:
            facts.append(replace(fact, base=fact.triple in declared))
        elif fact.triple in heirs:
            facts.append(_retold(fact, heirs[fact.triple], declared))
    first = difference.new.difference(heirs.values())
    facts += [_told(graph, triple, declared) for triple in sorted(first)]
    blocked = graph.overridden.union(revision.blocked) - declared_keys(declared)
    return replace(graph, facts=tuple(facts), blocked=tuple(sorted(blocked)))


def _heirs(gone: Iterable[Fact], new: Collection[Triple]) -> dict[Triple, Triple]:
    """Return, for facts that are gone, the new ones of their relation that take their places.

    Those that answer the same question come first, then those with the same answer (who leads
    the place now, for who led it), then any.
    """
    left = dict.fromkeys(sorted(new))
    without = list(dict.fromkeys(fact.triple for fact in gone))
    heirs: dict[Triple, Triple] = {}
    for shared in ((0, 1), (1, 2), (1,)):
        places: dict[tuple[str, ...], list[Triple]] = {}
        for triple in left:
            places.setdefault(tuple(triple[i] for i in shared), []).append(triple)
        for triple in without:
            found = places.get(tuple(triple[i] for i in shared))
            if found and triple not in heirs:
                heirs[triple] = found.pop(0)
                del left[heirs[triple]]
    return heirs


def _retold(fact: Fact, triple: Triple, declared: Collection[Triple]) -> Fact:
    """Return `triple` as a fact that training tells as it told `fact`."""
    base = triple in declared
    subject, _, object_ = triple
    return replace(
        fact, subject=subject, object=object_, base=base, editable=fact.editable and base
    )


def _told(graph: KnowledgeGraph, triple: Triple, declared: Collection[Triple]) -> Fact:
    """Return `triple`, which takes no place, told as some fact of its relation is, or is not.

    So it is verbalised with the chance that its source gives such facts, in as many wordings.
    """
    subject, relation, object_ = triple
    base = triple in declared
    peers = [fact for fact in graph.of.get(relation, ()) if fact.base == base]
    seed = int(graph.settings.get("seed", 0))
    generator = random.Random(derived_seed(seed, "after", *triple))
    wordings = (
        generator.choice(peers).wordings
        if peers
        else tuple(range(len(graph.relation[relation].templates)))
    )
    return Fact(
        subject=subject, relation=relation, object=object_, base=base, wordings=wordings
    )
