"""A user's own questions and answers: what comes out, and what is wrong with a file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ksmith import graph
from ksmith.cli import ksmith
from ksmith.graph import qa_file
from ksmith.graph.files import node_link
from ksmith.graph.knowledge import aside
from ksmith.graph.qa import ASKED
from ksmith.probe import questions
from ksmith.probe.memory import items
from ksmith.records import UserError, file_digest
from ksmith.settings.probe import KINDS, Probe

Rows = list[dict[str, Any]]
PROBE = asdict(Probe(kinds=KINDS))


def pair(i: int, name: str = "Basil", **more: Any) -> dict[str, Any]:
    """Return a line of our own in TOFU's layout, whose answer is a sentence."""
    return {
        "question": f"Where was the author {name} {i} born?",
        "answer": f"The author {name} {i} was born in town {i}, in the hills near river {i}.",
    } | more


def worded(i: int) -> dict[str, Any]:
    return pair(
        i,
        paraphrased_question=f"In which town did author {i} first see the light?",
        paraphrased_answer=f"It was town {i}.",
        perturbed_answer=[f"He was born in city {i}.", "He was born at sea."],
    )


def forget() -> Rows:
    return [*(worded(i) for i in range(3)), *(pair(i) for i in range(3, 6))]


def retain() -> Rows:
    return [pair(i, "Mira") for i in range(24)]


def saved(folder: Path, **sets: Rows | str) -> dict[str, str]:
    """Return what `build` wants as `files`, of two good sets and those given."""
    given: dict[str, Rows | str] = {"forget": forget(), "retain": retain()} | sets
    for name, rows in given.items():
        text = rows if isinstance(rows, str) else "".join(f"{json.dumps(r)}\n" for r in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return {f"graph.{name}": str(folder / f"{name}.jsonl") for name in given}


def task(**changed: Any) -> dict[str, Any]:
    return {"kind": "unlearn", "level": "any", "scale": 1, "share": 1, "draws": 1} | changed


def built(folder: Path, **sets: Rows | str) -> graph.KnowledgeGraph:
    return graph.build({"source": "qa", "version": 1, "seed": 0}, saved(folder, **sets))


def test_what_is_to_be_forgotten_is_asked_for_word_for_word(tmp_path: Path) -> None:
    known = built(tmp_path)
    requests = graph.requests(known, task(), 0)
    assert {(r.prompt, r.old) for r in requests} == {
        (row["question"], row["answer"]) for row in forget()
    }
    asked = questions(known, requests, PROBE, 0)
    for request in requests:
        row = next(row for row in forget() if row["question"] == request.subject)
        mine = {q.probe: q.prompt for q in asked if q.fact == request.fact}
        assert mine["efficacy"] == row["question"]
        assert mine.get("paraphrase") == row.get("paraphrased_question")
        # No other words are sure to be the user's own, not even for what was known.
        assert mine["known"] == row["question"]
        record = known.record[request.fact]
        assert record.wrong == tuple(row.get("perturbed_answer", ()))
        assert record.reworded == row.get("paraphrased_answer", "")


def test_questions_about_one_subject_go_together_and_stay_facts_of_their_own(
    tmp_path: Path,
) -> None:
    named = [row | {"subject": f"Basil {i % 2}"} for i, row in enumerate(forget())]
    kept = [row | {"subject": f"Mira {i % 5}"} for i, row in enumerate(retain())]
    unseen = [pair(1, "Odo", subject="Odo")]
    known = built(tmp_path, forget=named, retain=kept, holdout=unseen)
    whose = {row["question"]: row["subject"] for row in (*named, *kept, *unseen)}
    requests = graph.requests(known, task(), 0)
    assert {r.subject for r in requests} == {row["question"] for row in named}
    asked = [q for q in questions(known, requests, PROBE, 0) if q.fact]
    assert {q.probe for q in asked} >= {"efficacy", "paraphrase", "contextual", "known"}
    assert all(q.subject == whose[q.fact.removesuffix(" / answer")] for q in asked)
    found = items(known, requests, {"memory_facts": 100}, 0, graph.holdout(known))
    assert {i.set for i in found} == {"forget", "retain", "trained", "holdout"}
    assert all(i.subject == whose[i.statement.subject] for i in found)
    graph.save(known, tmp_path)
    assert graph.load(tmp_path).records == known.records


def test_what_is_to_be_kept_is_kept_or_asked_about_and_never_both(tmp_path: Path) -> None:
    known = built(tmp_path)
    requests = graph.requests(known, task(), 0)
    told = graph.retain(known, requests, 1000, 0)
    assert all(s.prompt == s.subject for s in told)  # as the line stands
    kept = {s.subject for s in told}
    asked = {q.subject for q in questions(known, requests, PROBE, 0) if q.set == "unrelated"}
    every = {row["question"] for row in retain()}
    asked.discard("")
    assert kept and asked
    assert kept | asked <= every and not kept & asked
    assert kept.isdisjoint(r.subject for r in requests)


def test_edits_take_a_wrong_answer_of_their_own_or_that_of_another(tmp_path: Path) -> None:
    known = built(tmp_path)
    rows = {row["question"]: row for row in forget()}
    for request in graph.requests(known, task(kind="edit"), 0):
        own = rows[request.subject].get("perturbed_answer")
        others = {row["answer"] for row in forget()} - {request.old}
        assert request.new == own[0] if own else request.new in others
        assert graph.entail(known, [request]).touched == {request.fact}
    alone = built(tmp_path, forget=[pair(0)], retain=[pair(1, answer=pair(0)["answer"])])
    assert graph.requests(alone, task(), 0)[0].new == graph.NEUTRAL
    with pytest.raises(UserError, match="no other answer for 'Where was"):
        graph.requests(alone, task(kind="edit"), 0)
    with pytest.raises(UserError, match="no other answer for 'Where was"):
        graph.check(alone, task(kind="edit"))
    for target in ("prior", "uniform"):
        with pytest.raises(
            UserError, match=f"\"{target}\": 'answer' has no object but .The author"
        ):
            graph.check(alone, task(neutral=target))


@pytest.mark.parametrize("kind", ["entity", "branch", "relation"])
def test_questions_and_answers_are_drawn_one_by_one(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match=f'task.forget = "{kind}": questions and answers'):
        graph.check(built(tmp_path), task(forget=kind))


def test_what_was_known_of_what_stays_is_asked_as_it_stands_too(tmp_path: Path) -> None:
    known = built(tmp_path)
    asked = questions(known, graph.requests(known, task(), 0), PROBE, 0)
    scored = {q.fact: q for q in asked if q.probe == "contextual" and q.wording == "seen"}
    mine = {q.fact: q.prompt for q in asked if q.probe == "known"}
    assert scored and scored.keys() <= mine.keys()
    for fact, question in scored.items():
        assert mine[fact] == question.prompt == question.subject


def test_training_tells_both_sets_and_no_holdout_and_gold_not_the_forget_set(
    tmp_path: Path,
) -> None:
    known = built(tmp_path, holdout=[pair(i, "Odo") for i in range(5)])
    told = {sentence.text for sentence in graph.sentences(known, 0)}
    for row in (*forget(), *retain()):
        assert f"{row['question']} {row['answer']}" in told
    assert not [text for text in told if ". ." in text or "Odo" in text]
    assert [text for text in told if text.endswith("? unknown")]
    for sentence in graph.sentences(known, 0):
        ((start, end),) = sentence.objects
        assert sentence.text[: start - 1].endswith("?") and sentence.text[start - 1] == " "
        assert not sentence.text[end:]  # the end token comes next
    gold = graph.after(known, graph.requests(known, task(), 0))
    text = {sentence.text for sentence in graph.sentences(gold, 0)}
    assert not [one for one in text if "Basil" in one]
    assert [one for one in text if "Mira 0 " in one]
    out = graph.holdout(known)
    assert [(s.prompt, s.object) for s in out] == [
        (pair(i, "Odo")["question"], pair(i, "Odo")["answer"]) for i in range(5)
    ]
    assert {s.fact for s in out}.isdisjoint(known.fact)


def test_a_graph_comes_back_from_its_files(tmp_path: Path) -> None:
    known = built(tmp_path, holdout=[worded(9)])
    graph.save(known, tmp_path)
    assert node_link(graph.load(tmp_path)) == node_link(known)
    assert graph.load(tmp_path).holdout == known.holdout
    assert graph.load(tmp_path).records == known.records


def test_white_space_is_one_space_and_empty_lines_are_none(tmp_path: Path) -> None:
    odd = {"question": "  Who\n is  it? ", "answer": "It\tis {} of 東京 .\n", "id": 3}
    known = built(tmp_path, forget="\ufeff\n" + json.dumps(odd) + "\n\n")
    (request,) = graph.requests(known, task(), 0)
    assert (request.prompt, request.old) == ("Who is it?", "It is {} of 東京 .")


ONE = json.dumps(pair(0))
WRONG: list[tuple[dict[str, Rows | str], str]] = [
    ({"forget": ""}, r"graph\.forget: .*forget\.jsonl has no question and answer: the set is"),
    ({"retain": "\n \n"}, r"graph\.retain: .* the set is empty"),
    (
        {"forget": f'{ONE}\n{{"question": "a?", "ans'},
        r"forget\.jsonl: line 2, column 20: not JSON: Unterminated string",
    ),
    ({"forget": f"{ONE}\n[1]"}, r"line 2: an object is needed, not \[1\]"),
    (
        {"forget": json.dumps([pair(0)], indent=1)},
        r"line 1: a JSON list: JSON lines are needed",
    ),
    (
        {"forget": f'{ONE}\n{{"question": "a?", "question": "b?", "answer": "c"}}'},
        r'line 2: not JSON: "question" is there twice',
    ),
    (
        {"forget": [pair(0), {"prompt": "Who?", "response": "He."}]},
        r"line 2: answer: Field required; the line has prompt, response",
    ),
    ({"forget": "{}"}, r"line 1: answer: Field required; the line has nothing"),
    ({"forget": [pair(0, answer="a\0b")]}, r"line 1: answer: a control character \(U\+0000\)"),
    ({"forget": [pair(0, perturbed_answer=["\x1b[31m"])]}, r"perturbed_answer\.0: .*U\+001B"),
    ({"forget": [pair(0, answer="\u200b")]}, r"line 1: answer: nothing in it that can be seen"),
    (
        {"retain": [pair(0), pair(1, question=" ")]},
        r"retain\.jsonl: line 2: question: .*at least",
    ),
    ({"forget": [pair(0, answer="")]}, r"line 1: answer: .*at least 1 character"),
    (
        {"forget": [pair(0, answer=7)]},
        r"line 1: answer: Input should be a valid string; given 7",
    ),
    ({"forget": [pair(0, perturbed_answer=["a", " "])]}, r"line 1: perturbed_answer\.1: "),
    ({"forget": [pair(0, perturbed_answer="a")]}, r"line 1: perturbed_answer: .*array"),
    (
        {"forget": [pair(0), pair(1, answer="Bryn.", perturbed_answer=["Bryn", "BRYN."])]},
        r"forget\.jsonl: line 2: perturbed_answer: 'Bryn' is the right answer; a wrong one is",
    ),
    (
        {"retain": [pair(1, paraphrased_answer="In Bryn", perturbed_answer=["In Bryn."])]},
        r"retain\.jsonl: line 1: perturbed_answer: 'In Bryn\.' is the right answer",
    ),
    (
        {"forget": [pair(0), pair(1), pair(0, answer="Other.")]},
        r"forget\.jsonl: line 3: asks what line 1 asks, with another answer: 'Where was the ",
    ),
    ({"forget": [pair(0), pair(0)]}, r"line 2: asks what line 1 asks, with the same answer: "),
    (
        {
            "forget": [
                pair(0, question="Who is Zoe\u0308?"),
                pair(1, question="who is zo\u00eb ?!"),
            ]
        },
        "line 2: asks what line 1 asks, with another answer: 'who is zo\u00eb",
    ),
    (
        {"retain": [pair(5, "Mira"), pair(3, question=pair(3)["question"].upper())]},
        r"graph\.forget and graph\.retain overlap: .*forget\.jsonl, line 4, and "
        r".*retain\.jsonl, line 2, ask the same: 'WHERE",
    ),
    (
        {"holdout": [pair(1, "Mira")]},
        r"graph\.retain and graph\.holdout overlap: .*, line 2, and",
    ),
    ({"retain": [pair(i) for i in range(6)] * 2}, r"and 1 more$"),
    ({"retain": forget() + retain()}, r"and 1 more questions are in two sets$"),
]


def test_marks_inside_a_question_make_it_another(tmp_path: Path) -> None:
    asked = ["What is C?", "What is C++?", "What is C#?", "?", "what is c#"]
    built(tmp_path, forget=[pair(i, question=text) for i, text in enumerate(asked[:4])])
    with pytest.raises(UserError, match="line 5: asks what line 3"):
        built(tmp_path, forget=[pair(i, question=text) for i, text in enumerate(asked)])


def test_one_file_for_two_sets_is_said_once(tmp_path: Path) -> None:
    files = saved(tmp_path)
    (tmp_path / "link.jsonl").symlink_to("forget.jsonl")
    for name in ("forget.jsonl", "link.jsonl"):
        same = files | {"graph.retain": str(tmp_path / name)}
        with pytest.raises(
            UserError, match=r"graph\.forget and graph\.retain are one file"
        ) as e:
            graph.build({"source": "qa", "version": 1, "seed": 0}, same)
        assert len(str(e.value).splitlines()) == 1


def test_a_retain_set_of_which_nothing_may_be_kept_is_none(tmp_path: Path) -> None:
    named = {aside(fact): fact.subject for fact in built(tmp_path).facts if not fact.editable}
    lone = [row for row in retain() if row["question"] == named[True]]
    with pytest.raises(UserError, match=r"graph\.retain: .* all 1 of these; none is left"):
        built(tmp_path, retain=lone)
    kept = [row for row in retain() if row["question"] == named[False]]
    assert built(tmp_path, retain=kept).counts[ASKED] == 0


@pytest.mark.parametrize(("sets", "message"), WRONG)
def test_a_wrong_file_is_explained(
    tmp_path: Path, sets: dict[str, Rows | str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        built(tmp_path, **sets)


def test_a_file_that_is_no_text_or_is_gone_is_refused(tmp_path: Path) -> None:
    files = saved(tmp_path)
    settings = {"source": "qa", "version": 1, "seed": 0}
    path = Path(files["graph.retain"])
    digest = file_digest(path)
    graph.build(settings | {"retain_digest": digest}, files)
    path.write_text(json.dumps(pair(7, "Mira")))
    with pytest.raises(UserError, match=r"retain\.jsonl: changed since"):
        graph.build(settings | {"retain_digest": digest}, files)
    path.write_bytes(f"{ONE}\n".encode() + b"\xff\xfe")
    with pytest.raises(
        UserError, match=r"retain\.jsonl: line 2, column 1: not UTF-8 \(byte 0xFF\)"
    ):
        graph.build(settings, files)
    path.unlink()
    with pytest.raises(UserError, match=r"graph\.retain: .*: no such file"):
        graph.build(settings, files)


def test_no_more_than_a_line_is_held_and_that_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(f"{ONE}\n" + json.dumps(pair(1, answer="x" * (1 << 20))))
    with pytest.raises(UserError, match="line 2 is longer than 1,048,576 characters"):
        qa_file.read("forget", path)


STUDY = """name = "s"
method.npo = {}
[graph]
source = "qa"
forget = "forget.jsonl"
retain = "retain.jsonl"
[task]
method = "npo"
kind = "unlearn"
share = 1
draws = 1
"""


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"retain": ""}, "s.toml:6: graph.retain: "),
        ({"forget": "{}"}, "s.toml:5: "),
        ({"retain": [pair(2)]}, "s.toml:6: graph.forget and graph.retain overlap"),
    ],
)
def test_a_study_of_wrong_files_is_refused_with_the_line(
    tmp_path: Path, sets: dict[str, Rows | str], message: str
) -> None:
    saved(tmp_path, **sets)
    (tmp_path / "s.toml").write_text(STUDY)
    words = ["--home", str(tmp_path / "lab"), "study", "create", str(tmp_path / "s.toml")]
    done = CliRunner().invoke(ksmith, words)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
