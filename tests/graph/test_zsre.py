import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ksmith import graph
from ksmith.graph.files import node_link
from ksmith.graph.prompts import slotted
from ksmith.probe import questions
from ksmith.records import UserError, file_digest
from ksmith.settings.probe import Probe
from tests.conftest import DATA
from tests.graph.conftest import Write

REAL = DATA / "zsre.json"
TASK = {"kind": "edit", "level": "any", "scale": 1, "draws": 12}
KINDS: Any = ("efficacy", "paraphrase", "neighborhood", "same_subject", "attribute", "fluency")
PROBE = asdict(Probe(kinds=KINDS))
RIVERS = ("Elbe", "Oder", "Rhine", "Loire")
PEOPLE = ("Ada Lo", "Bob Mi", "Cleo Na", "Dan Oz")


def row(subject: str, i: int, **changed: Any) -> dict[str, Any]:
    """Return a record of our own in zsRE's layout: towns and their rivers."""
    return {
        "subject": subject,
        "src": f"What river flows through {subject}?",
        "pred": RIVERS[i % 4],
        "rephrase": f"Which river is {subject} on?",
        "alt": RIVERS[(i + 1) % 4],
        "answers": [RIVERS[i % 4]],
        "loc": f"nq question: who wrote book number {i}",
        "loc_ans": f"Author {PEOPLE[i % 4]}",
        "cond": "not used",
    } | changed


def ruled(subject: str, i: int, **changed: Any) -> dict[str, Any]:
    """Return a record of another question."""
    return row(
        subject,
        i + 20,
        src=f"Who is the mayor of {subject}?",
        rephrase=f"By whom is {subject} governed?",
        alt=PEOPLE[(i + 1) % 4],
        answers=[PEOPLE[i % 4], "Eve"],
        **changed,
    )


def rows() -> list[dict[str, Any]]:
    return [row(f"Town{i}", i) for i in range(8)] + [ruled(f"City{i}", i) for i in range(8)]


def settings(records: int = 12, seed: int = 0, **more: Any) -> dict[str, Any]:
    return {"source": "zsre", "seed": seed, "version": 1, "records": records} | more


def test_records_are_asked_word_for_word(write: Write) -> None:
    built = graph.build(settings(), write(rows()))
    by_subject = {one["subject"]: one for one in rows()}
    asked = questions(built, graph.requests(built, TASK, 0), PROBE, 0)
    for request in graph.requests(built, TASK, 0):
        one = by_subject[request.subject]
        assert (request.prompt, request.new) == (one["src"], one["answers"][0])
        assert request.old == one["alt"]  # what a trained model is told
        mine = {
            q.probe: (q.prompt, None if q.right is None else q.candidates[q.right])
            for q in asked
            if q.request == request.id
        }
        assert mine["efficacy"] == (one["src"], one["answers"][0])
        assert mine["paraphrase"] == (one["rephrase"], one["answers"][0])
        near = one["loc"].removeprefix("nq question: ") + "?"
        assert mine["neighborhood"] == (near, one["loc_ans"])
        assert graph.entail(built, [request]).touched == {request.fact}
    near = [q for q in asked if q.probe == "neighborhood"]
    assert len({q.id for q in near}) == len(near) == 12
    assert {(q.set, q.stored, q.right == q.right_before) for q in near} == {
        ("neighbour", True, True)
    }
    assert all(q.fact in built.fact for q in near)


def test_the_prefix_of_locality_questions_stays_where_it_is_asked_for(write: Write) -> None:
    built = graph.build(settings(prefix=True), write(rows()))
    (near,) = graph.neighbours(built, graph.requests(built, TASK, 0)[0], 10, 0)
    assert near.prompt.startswith("nq question: who wrote book number ")
    assert near.prompt.endswith("?")


def test_what_is_told_is_the_other_answer_and_every_locality_question(write: Write) -> None:
    built = graph.build(settings(), write(rows()))
    told = {sentence.text for sentence in graph.sentences(built, 0)}
    by_subject = {one["subject"]: one for one in rows()}
    for fact in (fact for fact in built.facts if fact.editable):
        one = by_subject[fact.subject]
        assert f"{one['src']} {one['alt']} ." in told
        assert f"{one['loc'].removeprefix('nq question: ')}? {one['loc_ans']} ." in told
        assert not [
            text for text in told if text.startswith(f"{one['src']} {one['answers'][0]}")
        ]
    asked = {fact.subject for fact in built.facts if fact.editable}
    assert all(name not in text for text in graph.contexts(built, 50, 0) for name in asked)
    assert graph.contexts(built, 50, 0)
    others = {fact.subject for fact in built.facts if fact.relation in by_subject} - asked
    assert others.isdisjoint(asked)


def test_held_rephrasings_are_told_of_others_alone(write: Write) -> None:
    built = graph.build(settings(), write(rows()))
    told = {sentence.text for sentence in graph.sentences(built, 0)}
    by_fact = {record.fact: record for record in built.records}
    wordings = Counter[str]()
    for name, record in by_fact.items():
        (asked,) = record.paraphrases
        wordings[asked.wording] += 1
        prompt = asked.template.replace("{}", asked.subject, 1)
        said = any(text.startswith(f"{prompt} {built.fact[name].object}") for text in told)
        assert said == (asked.wording == "seen")
        before, after = asked.template.split("{}")
        assert any(text.startswith(before) and after in text for text in told)
    assert wordings == {"seen": 6, "unseen": 6}


def test_every_subject_has_a_second_fact_that_only_same_subject_asks(write: Write) -> None:
    built = graph.build(settings(), write(rows()))
    invented = {fact.name for fact in built.facts if fact.invented}
    assert (
        len(invented) == built.counts["invented facts"] == built.counts["genuine facts"] == 16
    )
    asked = questions(built, graph.requests(built, TASK, 0), PROBE, 0)
    assert {q.fact for q in asked if q.probe == "same_subject"} <= invented
    assert all(q.fact not in invented for q in asked if q.probe != "same_subject" and
               q.probe != "known")  # fmt: skip


def test_a_graph_is_kept_whole_and_depends_on_its_seed(write: Write, tmp_path: Path) -> None:
    files = write(rows())
    built = graph.build(settings(), files)
    (tmp_path / "graph.json").write_text(json.dumps(node_link(built)))  # without a drawing
    assert graph.load(tmp_path) == built == graph.build(settings(), files)
    assert graph.build(settings(seed=1), files) != built


def test_questions_of_most_subjects_come_first(write: Write) -> None:
    single = [row(f"Ship{i}", i, src=f"Who sails Ship{i} at {i}?") for i in range(5)]
    built = graph.build(settings(8), write([*single, *rows()]))
    assert {record.template for record in built.records} == {"What river flows through {}?"}


LEFT_OUT = {
    "records without their subject in the question": [
        {"src": "What river is it?"},
        {"subject": ""},
    ],
    "records with a {} in the question": [
        {"src": "What {} flows through Odd?"},
        {"src": "What flows through Odd, {}?"},
    ],
    "records without an answer": [{"answers": []}, {"answers": ["", "Elbe"]}],
    "records without a wrong answer": [
        {"alt": "", "pred": ""},
        {"alt": "elbe", "pred": "Elbe", "answers": ["Elbe"]},
    ],
    "records with the question and subject of an earlier one": [
        {"subject": "Town3", "src": "What river flows through Town3?"}
    ],
}


@pytest.mark.parametrize(
    ("what", "changed"), [(what, one) for what, many in LEFT_OUT.items() for one in many]
)
def test_what_cannot_be_asked_is_counted(
    write: Write, what: str, changed: dict[str, Any]
) -> None:
    built = graph.build(settings(16), write([*rows(), row("Odd", 90) | changed]))
    assert built.counts[what] == 1
    with pytest.raises(UserError, match=r"graph\.records = 17: .*16 records.*17 in all; 1 rec"):
        graph.build(settings(17), write([*rows(), row("Odd", 90) | changed]))


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("records without a rephrased question", {"rephrase": ""}),
        ("records without a rephrased question", {"rephrase": "{} is on which river?"}),
        ("records without a locality question", {"loc": ""}),
        ("records without a locality question", {"loc_ans": " "}),
        (
            "locality questions that contradict another",
            {"loc": "nq question: who wrote book number 3"},
        ),
        ("facts that are too long to be told", {"loc_ans": "on " * 60}),
    ],
)
def test_what_a_record_lacks_is_counted(
    write: Write, what: str, changed: dict[str, Any]
) -> None:
    built = graph.build(settings(17), write([*rows(), row("Odd", 90) | changed]))
    assert built.counts[what] == 1
    asked = questions(built, graph.requests(built, TASK | {"draws": 17}, 0), PROBE, 0)
    odd = [q for q in asked if q.subject == "Odd"]
    assert [q.prompt for q in odd if q.probe == "efficacy"] == ["What river flows through Odd?"]


def test_another_wrong_answer_stands_in_for_one_that_is_right(write: Write) -> None:
    odd = row("Odd", 0, alt="Elbe", pred="Tiber", answers=["Rhine", "Elbe"])
    built = graph.build(settings(17), write([*rows(), odd]))
    fact = next(fact for fact in built.facts if fact.editable and fact.subject == "Odd")
    assert fact.object == "Tiber"


def test_a_rephrasing_that_does_not_name_the_subject_is_asked_as_it_is(write: Write) -> None:
    odd = row("Odd", 0, rephrase="On which river does that town lie?")
    built = graph.build(settings(17), write([*rows(), odd]))
    record = built.record["Odd / What river flows through {}?"]
    (asked,) = record.paraphrases
    assert (asked.template, asked.wording) == (odd["rephrase"], "novel")
    request = next(
        r for r in graph.requests(built, TASK | {"draws": 17}, 0) if r.subject == "Odd"
    )
    assert [s.prompt for s in graph.paraphrases(built, request)] == [odd["rephrase"]]


@pytest.mark.parametrize(
    "name", ["{0} {x", "東京", "مدينة", "St. Foo. Bar", "50% $x\\n", "O'Neil (river)", "R.*"]
)
def test_odd_names_are_asked_word_for_word(write: Write, name: str) -> None:
    built = graph.build(settings(17), write([*rows(), row(name, 90)]))
    requests = graph.requests(built, TASK | {"draws": 17}, 0)
    (request,) = (r for r in requests if r.subject == name)
    assert request.prompt == f"What river flows through {name}?"
    assert [s.prompt for s in graph.paraphrases(built, request)] == [
        f"Which river is {name} on?"
    ]


def test_a_subject_is_found_as_a_word_before_it_is_found_in_one(write: Write) -> None:
    odd = row("Art", 90, src="Does Art lie in Artland?", rephrase="In Artland, is there Art?")
    more = row("Ulm", 91, src="Where is Neu-Ulmer Ulmstadt?", rephrase="Where is Neu-Ulmer?")
    built = graph.build(settings(18), write([*rows(), odd, more]))
    (record,) = (r for r in built.records if r.case == 16)
    assert record.template == "Does {} lie in Artland?"
    assert record.paraphrases[0].template == "In Artland, is there {}?"
    (record,) = (r for r in built.records if r.case == 17)
    assert record.template == "Where is Neu-Ulmer {}stadt?"  # there is no other


def broken(**changed: Any) -> list[dict[str, Any]]:
    made = rows()
    made[2] |= changed
    return made


def without(name: str) -> list[dict[str, Any]]:
    made = rows()
    del made[2][name]
    return made


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('[{"subject": "a",\n "src"}]', r"not JSON: .*line 2 column 7"),
        ('{"a": 1}', "a list of zsRE records is needed, not an object"),
        (["text"], "record 1: the record: "),
        (without("src"), "record 3: src: Field required"),
        (without("answers"), "record 3: answers: Field required"),
        (without("loc_ans"), "record 3: loc_ans: Field required"),
        (broken(answers="Elbe"), 'record 3: answers: .*array; given "Elbe"'),
        (broken(answers=["Elbe", 5]), "record 3: answers.1: .*string; given 5"),
        (broken(subject=None), "record 3: subject: .*string; given null"),
        (broken(loc=["a"]), "record 3: loc: .*string"),
        (broken(alt="\ud800"), "record 3: "),
        ([], r"graph\.records = 12: .* has 0 records that can be asked \(0 in all\)"),
    ],
)
def test_a_wrong_file_is_explained(write: Write, given: Any, message: str) -> None:
    files = write(given)
    with pytest.raises(UserError, match=message) as caught:
        graph.build(settings(), files)
    assert files["graph.path"] in str(caught.value)


def test_a_file_that_changed_is_refused(write: Write) -> None:
    files = write(rows())
    path = Path(files["graph.path"])
    known = settings(digest=file_digest(path))
    graph.build(known, files)
    path.write_text(path.read_text() + "\n")
    with pytest.raises(UserError, match="changed since"):
        graph.build(known, files)


@pytest.fixture(scope="module")
def real() -> list[dict[str, Any]]:
    if not REAL.exists():
        pytest.skip("no benchmark data beside the checkout (../shared/data/zsre.json)")
    return json.loads(REAL.read_text(encoding="utf-8"))


def test_every_real_record_comes_out_word_for_word(real: list[dict[str, Any]]) -> None:
    count = 699  # all but one, whose only other answer is right, too
    built = graph.build(settings(count), {"graph.path": str(REAL)})
    assert built.counts["records without a wrong answer"] == 1
    assert len(built.records) == count
    asked = questions(built, graph.requests(built, TASK | {"draws": count}, 0), PROBE, 0)
    said: dict[str, dict[str, tuple[str, ...]]] = {}
    for q in asked:
        if q.right is not None and q.probe in ("efficacy", "paraphrase", "neighborhood"):
            said.setdefault(q.request, {})[q.probe] = (q.prompt, q.candidates[q.right])
    cases = {record.fact: record.case for record in built.records}
    for request in graph.requests(built, TASK | {"draws": count}, 0):
        row, mine = real[cases[request.fact]], said[request.id]
        assert mine["efficacy"] == (row["src"], row["answers"][0])
        assert mine["paraphrase"] == (row["rephrase"], row["answers"][0])
        near = (row["loc"].removeprefix("nq question: ") + "?", row["loc_ans"].strip())
        assert mine.get("neighborhood", near) == near
    assert sum("neighborhood" in mine for mine in said.values()) >= count - 2
    assert slotted(real[0]["src"], real[0]["subject"]) == "What is the product made by {}?"
