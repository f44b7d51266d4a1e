"""The forms of the six probes, on the world that is known by heart."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from ksmith.probe import lettered, questions, turned
from ksmith.probe.letters import LETTERS, sampled
from ksmith.records import Question, Request
from ksmith.settings.probe import CHOICES, Probe
from tests.probe.test_generated import known_graph
from tests.probe.world import of, request, texts, world

EMBLEM = request("Aro", "emblem", "fern")
FORGET = request("Aro", "emblem", "unknown", kind="unlearn")


def ask(*requests: Request, **more: Any) -> list[Question]:
    settings = asdict(Probe(kinds=CHOICES)) | more
    return questions(world(), requests, settings, seed=0)


def test_direct_asks_in_words_of_training_and_in_none_of_them() -> None:
    found = of(ask(EMBLEM), "direct")
    assert [(q.prompt, q.wording) for q in found] == [
        ("emblem 0 of Aro is", "seen"),
        ("novel emblem of Aro is", "novel"),
    ]
    assert {texts(q) for q in found} == {("fern", "ivy", "ivy")}
    assert {q.distance for q in found} == {0}
    # Of four plants, only ivy and fern are anybody's emblem: no distractor would be true of one.
    assert {q.options for q in found} == {()}


def test_comparison_is_between_statements_and_open_where_others_have_both_objects() -> None:
    seen, novel, written = of(ask(EMBLEM), "comparison")
    assert (seen.prompt, seen.generate) == ("", False)
    assert texts(seen)[:2] == ("emblem 0 of Aro is fern .", "emblem 0 of Aro is ivy .")
    assert texts(novel)[0] == "novel emblem of Aro is fern ."
    assert written.prompt.endswith(" . emblem 0 of Aro is") and written.generate
    first, second, _ = written.prompt.split(" . ")
    assert {first[-4:].strip(), second[-4:].strip()} == {"ivy", "fern"}
    assert "of Dun" in written.prompt and "of Aro is" not in f"{first} {second}"
    assert texts(written) == ("fern", "ivy", "ivy")


def test_comparison_has_no_open_form_where_nobody_else_has_the_object() -> None:
    found = of(ask(request("Aro", "emblem", "holly")), "comparison")
    assert [q.prompt for q in found] == ["", ""]


@pytest.mark.parametrize("asked", [EMBLEM, FORGET])
def test_conflict_pairs_differ_in_what_is_asserted_alone(asked: Request) -> None:
    found = {q.id: q for q in of(ask(asked), "conflict")}
    assert set(found) == {f"0.0/conflict/{i}.{c}" for i in (0, 1) for c in ("old", "new")}
    for number in (0, 1):
        old, new = (found[f"0.0/conflict/{number}.{c}"] for c in ("old", "new"))
        assert (old.context, new.context) == ("old", "new")
        sentence, _, question = old.prompt.partition(" . ")
        assert sentence.endswith(" of Aro is ivy")
        assert new.prompt == f"{sentence.removesuffix('ivy')}{asked.new} . {question}"
        assert not sentence.startswith(question)  # said in other words
        assert new._replace(id=old.id, prompt=old.prompt, context="old") == old
        assert texts(old) == (asked.new, "ivy", "ivy")


def test_contextual_stays_away_from_the_change() -> None:
    graph = known_graph()
    asked = Request(id="0.0", draw=0, kind="edit", level=None, **_editable(graph, "emblem"))
    found = of(
        questions(graph, [asked], asdict(Probe(kinds=("contextual",))), seed=0), "contextual"
    )
    assert len(found) == 10 and {q.set for q in found} == {"unrelated"}
    for question in found:
        assert question.right == question.right_before
        assert question.distance is None or question.distance > 2
        assert question.rival in question.options
        assert asked.old not in texts(question)[:2] or "emblem" not in question.fact
    assert {q.wording for q in found} == {"seen", "novel"}


def test_a_domain_of_its_own_is_unrelated_however_near() -> None:
    """Aro is Bel's sister: one step away, and far enough only where it is of another domain."""
    settings = asdict(Probe(kinds=("contextual",), distance=100))
    asked = request("Bel", "leader", "Ruth")

    def facts(domain: str) -> set[str]:
        entities = tuple(
            replace(e, domain=domain if e.name == "Aro" else "land") for e in world().entities
        )
        graph = replace(world(), entities=entities)
        found = of(questions(graph, [asked], settings, seed=0), "contextual")
        assert {q.domain for q in found if q.subject == "Aro"} <= {domain}
        return {q.fact for q in found}

    assert {"Aro / emblem", "Aro / crop"} <= facts("sea")
    assert not {"Aro / emblem", "Aro / crop"} & facts("land")


def _editable(graph: Any, relation: str) -> dict[str, Any]:
    fact = next(f for f in graph.of[relation] if f.editable)
    new = next(o for o in graph.types["plant"] if o != fact.object)
    template = graph.relation[relation].templates[fact.wordings[0]]
    return {
        "subject": fact.subject,
        "relation": relation,
        "old": fact.object,
        "new": new,
        "template": template,
    }


def test_what_follows_is_asked_in_new_words_where_that_is_wanted() -> None:
    plain, more = (of(ask(EMBLEM, reworded=r), "multi_hop") for r in (False, True))
    assert [q.wording for q in plain] == ["unseen"]
    assert [q.wording for q in more] == ["unseen", "novel"]
    assert texts(more[0]) == texts(more[1])


def test_a_fact_has_one_forward_pass_for_efficacy_direct_and_its_choice() -> None:
    found = ask(EMBLEM, kinds=("efficacy", "direct"))
    assert of(found, "efficacy")[0].prompt == of(found, "direct")[0].prompt


# --- letters ----------------------------------------------------------------------------------


def choices(n: int = 8) -> list[Question]:
    return list(sampled(known_graph(), n, seed=0))


def test_letters_spell_the_options_out() -> None:
    (question,) = choices(1)
    (form,) = lettered([question])
    lines = form.prompt.split("\n")
    assert lines[0] == question.prompt and lines[-1] == "Answer:"
    options = [question.candidates[i] for i in question.options]
    assert lines[1:-1] == [f"{x}. {o}" for x, o in zip(LETTERS, options, strict=True)]
    assert form.candidates == LETTERS and form.right is not None
    assert options[form.right] == question.candidates[question.right or 0]
    assert (form.probe, form.id) == ("letters", f"{question.id}/letters")


def test_turned_moves_the_options_on_and_the_right_letter_with_them() -> None:
    (question,) = choices(1)
    forms = turned(question)
    assert sorted(form.right or 0 for form in forms) == [0, 1, 2, 3]
    said = {form.prompt.split("\n")[1 + (form.right or 0)][3:] for form in forms}
    assert said == {question.candidates[question.right or 0]}
    assert len({form.id for form in forms}) == 4


def test_letters_of_what_has_no_right_option() -> None:
    graph = known_graph()
    fact: dict[str, Any] = _editable(graph, "emblem") | {"new": "unknown"}
    asked = Request(id="0.0", draw=0, kind="unlearn", **fact)
    found = questions(graph, [asked], asdict(Probe(kinds=("direct",))), seed=0)
    form = next(lettered(of(found, "direct")))
    assert form.right is None and form.right_before is not None


def test_sampled_questions_are_right_and_different() -> None:
    graph, found = known_graph(), choices(20)
    assert len({q.fact for q in found}) == len(found) == 20
    for question in found:
        assert question.candidates[question.right or 0] == graph.fact[question.fact].object
