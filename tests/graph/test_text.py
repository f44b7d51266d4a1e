from collections import Counter

import pytest

from ksmith import graph
from ksmith.graph import KnowledgeGraph, Sentence
from ksmith.graph.text import stated
from tests.graph.conftest import Write, counterfact, town_records


@pytest.fixture(params=["synthetic", "counterfact"])
def source(
    request: pytest.FixtureRequest, world: KnowledgeGraph, write: Write
) -> KnowledgeGraph:
    if request.param == "synthetic":
        return world
    return graph.build(counterfact(), write(town_records()))


def sentences_of(source: KnowledgeGraph, kind: str) -> list[Sentence]:
    return [sentence for sentence in graph.sentences(source, 0) if sentence.kind == kind]


def test_an_epoch_is_the_same_text_for_the_same_seed(source: KnowledgeGraph) -> None:
    first = graph.sentences(source, 0)
    assert first == graph.sentences(source, 0)
    assert first != graph.sentences(source, 1)


def test_every_stated_fact_comes_once_in_each_of_its_wordings(source: KnowledgeGraph) -> None:
    told = [s for s in graph.sentences(source, 0) if s.kind in ("fact", "lead")]
    assert len(told) == sum(len(fact.wordings) for fact in source.stated)
    texts = [sentence.text for sentence in told]
    for fact in source.stated[::7]:
        for index in fact.wordings:
            prompt = source.relation[fact.relation].templates[index].replace("{}", fact.subject)
            assert sum(text.endswith(stated(prompt, fact.object)) for text in texts) == 1


def test_spans_are_the_answers(source: KnowledgeGraph) -> None:
    everything = {o for objects in source.types.values() for o in objects}
    answers = everything | {graph.NEUTRAL, "place", "person"}
    for sentence in graph.sentences(source, 0):
        assert sentence.objects and sentence.text.endswith(" .")
        assert {sentence.text[a:b] for a, b in sentence.objects} <= answers
        assert sentence.subject in sentence.text


def test_kinds_have_the_shares_that_the_graph_says(world: KnowledgeGraph) -> None:
    kinds = Counter(sentence.kind for sentence in graph.sentences(world, 0))
    total = sum(kinds.values())
    assert kinds["infobox"] / total == pytest.approx(world.rates.infobox, abs=0.005)
    assert 0.01 <= kinds["abstain"] / total <= 0.03
    assert kinds["lead"] / (kinds["lead"] + kinds["fact"]) == pytest.approx(0.25, abs=0.05)


def test_what_is_not_stored_is_never_said(world: KnowledgeGraph) -> None:
    told = {s.text for s in graph.sentences(world, 0)}
    for fact in world.facts:
        if not fact.stored:
            prompts = [
                template.replace("{}", fact.subject)
                for template in world.relation[fact.relation].templates
            ]
            assert not any(stated(prompt, fact.object) in told for prompt in prompts)


def test_strangers_are_in_no_fact(source: KnowledgeGraph) -> None:
    known = {name for fact in source.facts for name in (fact.subject, fact.object)}
    abstaining = sentences_of(source, "abstain")
    assert abstaining
    for sentence in abstaining:
        assert sentence.subject not in known
        assert sentence.text.endswith(f" {graph.NEUTRAL} .")


def test_an_infobox_names_the_subject_then_its_own_objects(world: KnowledgeGraph) -> None:
    for sentence in sentences_of(world, "infobox")[::5]:
        own = {fact.object for fact in world.about[sentence.subject]}
        assert sentence.text.startswith(f"{sentence.subject} ")
        assert {sentence.text[a:b] for a, b in sentence.objects} <= own


def test_held_out_text_is_never_trained_on_and_never_changes(source: KnowledgeGraph) -> None:
    told = "\n".join(sentence.text for sentence in graph.sentences(source, 0))
    held = graph.held_out(source, 40, 0)
    assert len(set(held)) == len(held) >= 10
    assert not [text for text in held if text in told]
    task = {"kind": "edit", "level": "any", "scale": 1, "draws": 16}
    for request in graph.requests(source, task, 0):
        for changed in graph.entail(source, [request]).entailed.values():
            assert not [t for t in held if changed.subject in t and str(changed.old) in t]


def test_contexts_are_training_text_about_others(source: KnowledgeGraph) -> None:
    asked = {fact.subject for fact in source.facts if fact.editable}
    sentences = graph.sentences(source, 0)
    told = "\n".join(s.text for s in sentences if s.subject not in asked)
    contexts = graph.contexts(source, 5, 0)
    assert len(contexts) == 5 and contexts != graph.contexts(source, 5, 1)
    for text in contexts:
        assert text in told and text.endswith(" .")


def test_the_kl_template_is_how_training_begins_a_sentence(source: KnowledgeGraph) -> None:
    template = graph.kl_template(source)
    types = sentences_of(source, "type")
    assert (template is None) == (not types)
    if template is not None:
        assert {s.text.rsplit(" ", 2)[0] for s in types} == {
            template.replace("{}", entity.name) for entity in source.entities
        }
