"""What benchmarks ask beside the usual: attribute prompts, and prompts for text to go on from."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ksmith import graph
from ksmith.probe import questions
from ksmith.records import Question, Request
from ksmith.settings.probe import KINDS, Probe
from tests.graph.conftest import counterfact, town_records
from tests.probe.world import of, request, texts, world

EMBLEM = request("Aro", "emblem", "fern")  # was ivy; Dun's is fern
SETTINGS = asdict(Probe(kinds=("attribute", "fluency", "efficacy")))
TASK = {"kind": "edit", "scale": 4, "draws": 4}


def ask(*requests: Request, **more: Any) -> list[Question]:
    return questions(world(), requests, SETTINGS | more, seed=0)


def test_attributes_are_others_that_have_the_new_object() -> None:
    (question,) = of(ask(EMBLEM), "attribute")
    assert (question.subject, question.set, question.fact) == (
        "Dun",
        "neighbour",
        "Dun / emblem",
    )
    assert texts(question) == ("fern", "fern", "ivy")  # right after and before, and its rival


def test_an_attribute_that_the_draw_changes_is_not_asked() -> None:
    other = request("Dun", "emblem", "holly", id="0.1")
    assert {q.subject for q in of(ask(EMBLEM, other), "attribute")} == set()


def test_nobody_has_the_neutral_answer() -> None:
    assert of(ask(request("Aro", "emblem", "unknown", kind="unlearn")), "attribute") == []


def test_text_goes_on_from_the_subject_in_the_words_of_the_relation() -> None:
    found = of(ask(EMBLEM, texts=3, text_tokens=40), "fluency")
    assert [q.prompt for q in found] == [f"emblem {i} of Aro is" for i in range(3)]
    assert {(q.sampled, q.candidates, q.generate, q.set) for q in found} == {
        (40, (), False, "open")
    }
    assert len({q.seed for q in found}) == 3
    assert [q.seed for q in of(ask(EMBLEM), "fluency")][:3] == [q.seed for q in found]
    other = questions(world(), [EMBLEM], SETTINGS, seed=1)
    assert not {q.seed for q in of(other, "fluency")} & {q.seed for q in found}


def test_text_scores_no_wording() -> None:
    with_text, without = (
        [q for q in ask(EMBLEM, kinds=kinds) if q.probe == "known"]
        for kinds in (("efficacy", "fluency"), ("efficacy",))
    )
    assert with_text == without != []


def test_a_benchmarks_own_prompts_are_asked_word_for_word(tmp_path: Path) -> None:
    rows = town_records()
    for row in rows:
        subject = row["requested_rewrite"]["subject"]
        row["generation_prompts"] = [f"{subject} is known for", f"{subject} is known for"]
    path = tmp_path / "records.json"
    path.write_text(json.dumps(rows))
    built = graph.build(counterfact(), {"graph.path": str(path)})
    requests = graph.requests(built, TASK, 0)
    asked = questions(built, requests, SETTINGS, seed=0)
    by_subject = {row["requested_rewrite"]["subject"]: row for row in rows}
    for one in requests:
        row = by_subject[one.subject]
        mine = [q for q in asked if q.request == one.id]
        assert [q.prompt for q in of(mine, "fluency")] == row["generation_prompts"]
        near = of(mine, "attribute")
        assert [q.prompt for q in near] == row["attribute_prompts"]
        assert {texts(q) for q in near} == {(one.new, one.new, one.old)}
    unlearned = graph.requests(built, TASK | {"kind": "unlearn"}, 0)
    assert of(questions(built, unlearned, SETTINGS, seed=0), "attribute") == []


def test_usual_questions_have_neither() -> None:
    assert not {"attribute", "fluency"} & set(Probe().kinds)
    assert KINDS[-2:] == ("attribute", "fluency")  # behind the others: keys are as they were
