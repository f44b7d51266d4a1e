"""Each probe asks what it should, on a world small enough to know by heart."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from ksmith.probe import PROBES, questions
from ksmith.records import Question, Request, UserError
from ksmith.settings.probe import KINDS, Probe
from tests.probe.world import PLANTS, of, request, texts, world

EMBLEM = request("Aro", "emblem", "fern")
LEADER = request("Aro", "leader", "Ruth")


def settings(**more: Any) -> dict[str, Any]:
    return asdict(Probe()) | more


def ask(*requests: Request, **more: Any) -> list[Question]:
    return questions(world(), requests, settings(**more), seed=0)


def test_settings_name_the_probes_there_are() -> None:
    assert tuple(PROBES) == KINDS


def test_efficacy_is_the_request_itself() -> None:
    (question,) = of(ask(EMBLEM), "efficacy")
    assert question.prompt == "emblem 0 of Aro is"
    assert texts(question) == ("fern", "ivy", "ivy")
    assert (question.set, question.wording, question.level) == ("target", "seen", "leaf")
    assert question.candidates[:2] == ("fern", "ivy")
    assert {question.candidates[i] for i in question.of_type} == set(PLANTS)


def test_of_a_uniform_target_no_answer_is_right_and_all_are_candidates() -> None:
    alike = replace(request("Aro", "emblem", "fern", kind="unlearn"), others=("cedar", "ivy"))
    asked = ask(alike, candidates=3)
    for probe in ("efficacy", "paraphrase"):
        for question in of(asked, probe):
            assert question.right is None and question.rival is None
            names = [question.candidates[i] for i in question.of_type]
            assert set(names) == set(alike.targets) and names[0] == alike.old
            assert question.right_before == 0
    assert all(q.right is not None for q in of(asked, "neighborhood"))


def test_an_unlearned_fact_has_a_neutral_answer_that_is_of_no_type() -> None:
    neutral = request("Aro", "emblem", "unknown", kind="unlearn")
    (question,) = of(ask(neutral), "efficacy")
    assert texts(question) == ("unknown", "ivy", "ivy")
    assert {question.candidates[i] for i in question.of_type} == set(PLANTS)
    assert question.right not in question.of_type
    assert question.right_before in question.of_type


def test_candidates_stop_at_the_cap_but_hold_right_and_old() -> None:
    (question,) = of(ask(EMBLEM, candidates=2), "efficacy")
    assert question.candidates == ("fern", "ivy")
    (question,) = of(ask(EMBLEM, candidates=3), "efficacy")
    assert len(question.candidates) == 3


def test_paraphrases_are_unseen_and_novel() -> None:
    found = of(ask(EMBLEM), "paraphrase")
    assert {(q.prompt, q.wording) for q in found} == {
        ("emblem 3 of Aro is", "unseen"),
        ("novel emblem of Aro is", "novel"),
    }
    assert {texts(q) for q in found} == {("fern", "ivy", "ivy")}
    assert len(of(ask(EMBLEM, paraphrases=1), "paraphrase")) == 1


def test_neighbours_keep_the_old_object() -> None:
    found = of(ask(EMBLEM), "neighborhood")
    assert {q.fact for q in found} == {"Bel / emblem", "Cam / emblem"}
    assert {texts(q) for q in found} == {("ivy", "ivy", "fern")}
    assert {q.candidates for q in found} == {("ivy", "fern")}
    assert {q.set for q in found} == {"neighbour"}


def test_no_probe_takes_for_kept_what_the_draw_changes() -> None:
    other = request("Bel", "emblem", "holly", id="0.1")
    found = ask(EMBLEM, other, replace(LEADER, id="0.2"))
    kept = {q.fact for q in found if q.set == "neighbour"}
    assert "Bel / emblem" not in kept
    assert "Aro / leader" not in kept
    assert "Cam / emblem" in kept


def test_other_draws_change_nothing() -> None:
    other = request("Bel", "emblem", "holly", id="1.0", draw=1)
    found = of(ask(EMBLEM, other), "neighborhood")
    assert {(q.draw, q.fact) for q in found} == {
        (0, "Bel / emblem"), (0, "Cam / emblem"), (1, "Aro / emblem"), (1, "Cam / emblem"),
    }  # fmt: skip


def test_same_subject_keeps_its_other_facts() -> None:
    found = {q.fact: texts(q) for q in of(ask(EMBLEM), "same_subject")}
    assert found["Aro / crop"] == ("rye", "rye", "rice")
    assert found["Aro / sport"] == ("polo", "polo", "golf")
    assert "Aro / emblem" not in found


def test_reverse_of_an_edit_leads_from_the_new_object_and_no_longer_from_the_old() -> None:
    found = {q.subject: texts(q) for q in of(ask(LEADER), "reverse")}
    after, before, rival = found["Ruth"]
    assert (after, before) == ("Aro", None)
    assert rival in {"Bel", "Cam", "Dun"}
    assert found["Pia"] == (None, "Aro", "Aro")


def test_reverse_of_unlearning_asks_whether_the_old_object_still_leads_back() -> None:
    (question,) = of(ask(request("Aro", "leader", "unknown", kind="unlearn")), "reverse")
    assert (question.subject, texts(question)) == ("Pia", (None, "Aro", "Aro"))


def test_reverse_needs_an_inverse() -> None:
    assert of(ask(EMBLEM), "reverse") == []


def test_two_requests_that_swap_ask_each_inverse_once() -> None:
    first = request("Aro", "leader", "Quin")
    second = request("Bel", "leader", "Pia", id="0.1")
    found = {q.subject: texts(q) for q in of(ask(first, second), "reverse")}
    assert found == {"Quin": ("Aro", "Bel", "Bel"), "Pia": ("Bel", "Aro", "Aro")}


def test_multi_hop_asks_what_follows() -> None:
    (question,) = of(ask(EMBLEM), "multi_hop")
    assert (question.fact, texts(question)) == ("Pia / badge", ("fern", "ivy", "ivy"))
    assert (question.set, question.hop, question.stored) == ("entailed", 1, False)
    assert question.wording == "unseen"


def test_multi_hop_tells_stored_from_derived() -> None:
    (question,) = of(ask(request("Bel", "emblem", "fern")), "multi_hop")
    assert (question.fact, question.stored, question.wording) == ("Quin / badge", True, "seen")


def test_multi_hop_leaves_the_inverse_to_reverse() -> None:
    found = of(ask(LEADER), "multi_hop")
    assert {q.fact for q in found} == {"Pia / badge", "Ruth / badge"}
    assert {q.fact: texts(q)[:2] for q in found} == {
        "Pia / badge": (None, "ivy"),
        "Ruth / badge": ("ivy", None),
    }
    assert {q.hop for q in found} == {2}
    assert len(of(ask(LEADER, hops=1), "multi_hop")) == 1


def test_utility_shares_sentences_among_draws() -> None:
    found = of(ask(EMBLEM, sentences=6), "utility")
    assert len(found) == 6
    (candidates,) = {len(q.candidates) for q in found}
    assert candidates == 1
    assert {(q.prompt, q.request, q.right, q.generate) for q in found} == {("", "", 0, False)}
    other = request("Bel", "emblem", "holly", id="1.0", draw=1)
    both = of(ask(EMBLEM, other, sentences=6), "utility")
    assert [sum(q.draw == draw for q in both) for draw in (0, 1)] == [5, 5]


def test_known_is_asked_of_every_scored_fact_in_wordings_that_nobody_scores() -> None:
    found = ask(EMBLEM, replace(LEADER, id="1.0", draw=1))
    asked = of(found, "known")
    scored = [q for q in found if q.probe not in {"known", "utility"}]
    assert not {q.prompt for q in asked} & {q.prompt for q in scored}
    had = {q.fact for q in scored if q.right_before is not None}
    assert {q.fact for q in asked} == had
    assert {q.candidates for q in asked if q.fact == "Aro / emblem"} == {("ivy",)}
    assert {(q.right, q.right_before, q.rival) for q in asked} == {(0, 0, None)}
    assert [sum(q.fact == f for q in asked) for f in ("Aro / emblem", "Bel / emblem")] == [2, 1]


def test_known_of_what_is_only_derivable_is_asked_in_the_words_of_others() -> None:
    (question,) = [q for q in of(ask(EMBLEM), "known") if q.fact == "Pia / badge"]
    assert (question.stored, question.wording, question.set) == (False, "unseen", "entailed")


def test_a_fact_is_always_scored_in_the_same_training_words() -> None:
    other = request("Bel", "emblem", "holly", id="1.0", draw=1, template="emblem 2 of {} is")
    found = [q for q in ask(EMBLEM, other) if q.wording == "seen" and q.probe != "known"]
    prompts: dict[str, set[str]] = {}
    for question in found:
        prompts.setdefault(question.fact, set()).add(question.prompt)
    assert prompts["Bel / emblem"] == {"emblem 2 of Bel is"}
    assert {len(p) for p in prompts.values()} == {1}


def test_only_the_kinds_that_are_named_are_asked_and_known() -> None:
    found = ask(EMBLEM, kinds=("efficacy",))
    assert {q.probe for q in found} == {"efficacy", "known"}
    assert {q.fact for q in found} == {"Aro / emblem"}


def test_a_probe_that_is_not_there() -> None:
    with pytest.raises(UserError, match="no probe 'recall'; there are efficacy, "):
        ask(EMBLEM, kinds=("recall",))


def test_text_is_generated_where_asked() -> None:
    assert not any(q.generate for q in ask(EMBLEM, generate=False))
    scored = [q for q in ask(EMBLEM) if q.probe not in {"known", "utility"}]
    assert all(q.generate for q in scored)


def test_no_requests_give_no_questions() -> None:
    assert ask() == []
