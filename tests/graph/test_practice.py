"""Edits to practise on: of one half of the subjects, in words that training showed."""

from dataclasses import replace

import pytest

from ksmith.graph import KnowledgeGraph
from ksmith.graph.practice import practices, practised
from ksmith.graph.statements import worded
from ksmith.records import UserError


def test_halves_go_by_the_name_alone(world: KnowledgeGraph) -> None:
    subjects = sorted({fact.subject for fact in world.stated})
    share = sum(map(practised, subjects)) / len(subjects)
    assert 0.35 < share < 0.65
    learn, look = practices(world)
    sets = [{f.subject for f in (*one.edited, *one.kept)} for one in (learn, look)]
    assert all(sets) and not sets[0] & sets[1]
    assert all(practised(subject) for found in sets for subject in found)
    lasting = {fact.name for fact in world.lasting}
    assert not any(fact.name in lasting for one in (learn, look) for fact in one.kept)


def test_a_lesson_is_of_edits_that_are_new_in_words_of_training(world: KnowledgeGraph) -> None:
    learn, _ = practices(world)
    lesson = learn.lesson(0, "step", 3, updates=20, edits=2, locality=3)
    assert (len(lesson.asked), len(lesson.again), len(lesson.kept)) == (40, 40, 120)
    for asked, again in zip(lesson.asked, lesson.again, strict=True):
        assert practised(asked.subject)
        assert asked.new not in (asked.old, asked.subject)
        assert asked.new in world.types[world.relation[asked.relation].objects]
        assert world.world.objects(asked.relation, asked.subject) == [asked.old]
        assert (again.fact, again.object) == (asked.fact, asked.new)
        assert again.template != asked.template
        seen = worded(world, asked.subject, asked.relation)["seen"]
        assert asked.template in seen and again.template in seen
    for k in range(20):
        edited = {request.subject for request in lesson.asked[2 * k : 2 * k + 2]}
        mine = lesson.kept[6 * k : 6 * k + 6]
        assert not edited & {kept.subject for kept in mine}
        assert all(practised(kept.subject) for kept in mine)
        assert len(set(mine)) == 6
        assert all((k.subject, k.relation, k.object) in world.world for k in mine)


def test_a_lesson_is_drawn_by_its_name(world: KnowledgeGraph) -> None:
    learn, _ = practices(world)
    one = learn.lesson(0, "step", 3, updates=2)
    assert learn.lesson(0, "step", 3, updates=2) == one
    for other in ((0, "step", 4), (1, "step", 3), (0, "look", 3)):
        assert learn.lesson(*other, updates=2) != one
    assert learn.lesson(0, "step", 3, updates=1).asked == one.asked[:1]


def test_few_facts(world: KnowledgeGraph) -> None:
    learn, _ = practices(world)
    few = replace(learn, edited=learn.edited[:3], kept=learn.kept[:2])
    with pytest.raises(
        UserError, match="4 facts are to be edited at once in training, and the"
    ):
        few.lesson(0, edits=4)
    own = few.edited[0].subject
    mine = tuple(f for f in learn.kept if f.subject == own)
    assert few.edited[0] in mine
    beside = replace(few, edited=few.edited[:1], kept=mine).lesson(0, locality=2).kept
    assert all(one.subject == own and one.fact != few.edited[0].name for one in beside)
    with pytest.raises(UserError, match="no fact to keep beside those edited in training"):
        replace(few, edited=few.edited[:1], kept=few.edited[:1]).lesson(0)
    kept = few.lesson(0, edits=1, locality=5).kept
    assert len(kept) == 5
    assert len({one.fact for one in kept}) <= 2, "where there are fewer, more than once"
