import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ksmith import graph
from ksmith.graph.prompts import ended, fitted, slotted
from ksmith.probe import questions
from ksmith.records import UserError, file_digest
from ksmith.settings.probe import Probe
from tests.graph.conftest import Write, counterfact, record, town_records

REAL = Path(__file__).parents[3] / "shared" / "data" / "counterfact.json"
TASK = {"kind": "edit", "level": "any", "scale": 1, "draws": 16}


def test_records_are_asked_word_for_word(write: Write) -> None:
    rows = town_records()
    built = graph.build(counterfact(), write(rows))
    by_subject = {row["requested_rewrite"]["subject"]: row for row in rows}
    for request in graph.requests(built, TASK, 0):
        row = by_subject[request.subject]
        rewrite = row["requested_rewrite"]
        assert request.prompt == rewrite["prompt"].format(request.subject)
        assert (request.old, request.new) == (
            rewrite["target_true"]["str"],
            rewrite["target_new"]["str"],
        )
        asked = graph.paraphrases(built, request)
        assert [s.prompt for s in asked] == row["paraphrase_prompts"]
        near = graph.neighbours(built, request, 10, 0)
        assert [s.prompt for s in near] == row["neighborhood_prompts"]
        assert {s.object for s in near} == {request.old}
        (other,) = graph.same_subject(built, request, 5, 0)
        assert other.relation != request.relation
        assert graph.entail(built, [request]).touched == {request.fact}


def test_nothing_invented_is_asked_or_said_but_of_the_same_subject(
    write: Write, tmp_path: Path
) -> None:
    built = graph.build(counterfact(), write(town_records()))
    invented = {fact.name for fact in built.facts if fact.invented}
    assert len(invented) == built.counts["invented facts"] > 0
    graph.save(built, tmp_path)
    assert graph.load(tmp_path) == built
    requests = graph.requests(built, TASK, 0)
    kinds = ("neighborhood", "same_subject", "direct", "comparison", "conflict", "contextual")
    asked = questions(built, requests, asdict(Probe(kinds=kinds, distance=0)), 0)
    by_probe = {q.probe: {x.fact for x in asked if x.probe == q.probe} for q in asked}
    assert by_probe["same_subject"] <= invented and by_probe["contextual"]
    assert all(invented.isdisjoint(by_probe[k]) for k in kinds if k != "same_subject")
    told = [f for f in built.facts if f.invented]
    for prompt in (q.prompt for q in asked if q.probe == "comparison"):
        for fact in told:
            assert f"{fact.subject} " not in prompt or f" {fact.object} . " not in prompt


def test_held_paraphrases_and_their_lead_sentences_stay_out_of_training(write: Write) -> None:
    built = graph.build(counterfact(), write(town_records()))
    told = [sentence.text for sentence in graph.sentences(built, 0)]
    held = 0
    for record_ in built.records:
        for asked in record_.paraphrases:
            lead, _, clause = asked.template.rpartition(
                "\n" if "\n" in asked.template else ". "
            )
            prompt = clause.replace("{}", asked.subject, 1)
            trained = [text for text in told if f"{prompt} " in text]
            assert bool(trained) == (asked.wording == "seen")
            if asked.wording == "unseen":
                held += 1
                assert not [text for text in told if text.startswith(lead)]
    assert held == len(built.records) // 2


def test_wordings_that_a_benchmark_asks_are_not_all_that_was_told(write: Write) -> None:
    rows = [
        row | {"neighborhood_prompts": [*row["neighborhood_prompts"], "Springs feed {} in"]}
        for row in town_records()
    ]
    built = graph.build(counterfact(), write(rows))
    request = graph.requests(built, TASK, 0)[0]
    assert request.template not in {s.template for s in graph.seen(built, request)}


def test_same_seed_same_graph(write: Write) -> None:
    files = write(town_records())
    assert graph.build(counterfact(8), files) == graph.build(counterfact(8), files)
    assert graph.build(counterfact(8), files) != graph.build(counterfact(8, seed=1), files)


def test_conflicting_records_are_dropped_with_a_count(write: Write) -> None:
    rows = [*town_records(), record(90, "Town0", "Loire", "Elbe")]
    built = graph.build(counterfact(), write(rows))
    assert built.counts["conflicting records"] == 1
    assert built.fact["Town0 / R1"].object == "Elbe"


def test_prompts_that_contradict_a_record_are_neither_told_nor_asked(write: Write) -> None:
    rows = town_records()
    rows[1]["neighborhood_prompts"] = ["Town0 lies on the river", "Nowhere to be parsed"]
    built = graph.build(counterfact(), write(rows))
    assert built.counts["prompts that contradict another"] == 1
    assert built.counts["prompts not parsed"] == 1
    assert built.record["Town1 / R1"].neighbours == ()


@pytest.mark.parametrize(
    "name",
    [
        "{}",
        "{0} {x",
        "a {} b",
        "東京",
        "مدينة",
        "St. Foo. Bar",
        "50% $x\\n",
        "O'Neil (river)",
        "R.{}*",
    ],
)
def test_odd_names_are_asked_word_for_word(write: Write, name: str) -> None:
    rows = [*town_records(), record(90, name, "Elbe", f"New {name}")]
    built = graph.build(counterfact(17), write(rows))
    request = next(
        r for r in graph.requests(built, TASK | {"draws": 17}, 0) if r.subject == name
    )
    assert request.prompt == f"{name} lies on the river"
    assert [s.prompt for s in graph.paraphrases(built, request)] == rows[-1][
        "paraphrase_prompts"
    ]
    told = {s.text for s in graph.sentences(built, 0) if s.kind in ("fact", "lead")}
    assert any(text.endswith(f"{name} lies on the river Elbe .") for text in told)


def broken(**changed: Any) -> list[dict[str, Any]]:
    rows = town_records()
    rows[2] = rows[2] | changed
    return rows


def rewritten(**changed: Any) -> list[dict[str, Any]]:
    return broken(requested_rewrite=town_records()[2]["requested_rewrite"] | changed)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("[{", "not JSON"),
        ('{"a": 1}', "a list of CounterFact records is needed, not an object"),
        ("null", "not null"),
        (["text"], "record 1: the record: "),
        (broken(case_id="7"), 'record 3: case_id: .*integer; given "7"'),
        (broken(case_id=1), "case_id 1 is used more than once"),
        (broken(paraphrase_prompts="x"), "record 3: paraphrase_prompts: "),
        (
            broken(neighborhood_prompts=[1]),
            "record 3: neighborhood_prompts.0: .*string; given 1",
        ),
        (broken(attribute_prompts=[""]), "record 3: attribute_prompts.0: .*at least 1 char"),
        (rewritten(prompt="no slot"), "requested_rewrite.prompt: .*exactly one {}"),
        (rewritten(prompt="{} {}"), "requested_rewrite.prompt: .*exactly one {}"),
        (rewritten(subject=" "), "record 3: requested_rewrite.subject: "),
        (
            rewritten(target_new={}),
            "record 3: requested_rewrite.target_new.str: Field required",
        ),
        (
            rewritten(target_true={"str": "Loire"}),
            "case_id 2: target_new is target_true, 'Loire'",
        ),
        (rewritten(subject="\ud800"), "record 3: "),
        ([], r"graph\.records = 16: .* has 0 records"),
    ],
)
def test_a_wrong_file_is_explained(write: Write, rows: Any, message: str) -> None:
    files = write(rows)
    with pytest.raises(UserError, match=message) as caught:
        graph.build(counterfact(), files)
    assert files["graph.path"] in str(caught.value)


def test_many_errors_are_cut_short(write: Write) -> None:
    rows = [{"case_id": i} for i in range(50)]
    with pytest.raises(UserError) as caught:
        graph.build(counterfact(), write(rows))
    assert len(str(caught.value).splitlines()) == 6
    assert str(caught.value).endswith("and 195 more")


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a folder, not a file"):
        graph.build(counterfact(), {"graph.path": str(tmp_path)})
    with pytest.raises(UserError, match="no such file"):
        graph.build(counterfact(), {"graph.path": str(tmp_path / "nothing.json")})
    latin = tmp_path / "latin.json"
    latin.write_bytes('["é"]'.encode("latin-1"))
    with pytest.raises(UserError, match="not JSON"):
        graph.build(counterfact(), {"graph.path": str(latin)})


def test_a_file_that_changed_is_refused(write: Write) -> None:
    files = write(town_records())
    path = Path(files["graph.path"])
    settings = counterfact() | {"digest": file_digest(path)}
    graph.build(settings, files)
    path.write_text(path.read_text() + "\n")
    with pytest.raises(UserError, match="changed since"):
        graph.build(settings, files)


def test_too_few_records_say_how_many_there_are(write: Write) -> None:
    with pytest.raises(UserError, match=r"graph\.records = 17: .* has 16 records .*16 in all"):
        graph.build(counterfact(17), write(town_records()))


def test_parsing_prompts() -> None:
    known = ["{} is in", "{}, in", "The city of {} is in", "{}"]
    found = fitted("The city of Ulm is in", known)
    assert found is not None and found.subject == "Ulm"
    assert found.template == "The city of {} is in"
    assert fitted("Ulm is in", ["{}, in"]) is None
    assert fitted(" is in", ["{} is in"]) is None
    tailed = ended("It  was\nlate. Ulm is in", "Ulm", known)
    assert tailed is not None and tailed.lead == "It was late."
    assert ended("Neu-Ulm is in", "Ulm", ["{} is in"]) is None
    assert slotted("a {} b Ulm is in", "Ulm") is None
    assert slotted("Ulm. Ulm is in", "Ulm") == "Ulm. {} is in"


@pytest.fixture(scope="module")
def real() -> graph.KnowledgeGraph:
    if not REAL.exists():
        pytest.skip(f"needs {REAL}")
    return graph.build(counterfact(300), {"graph.path": str(REAL)})


def test_the_real_file_is_taken_apart(real: graph.KnowledgeGraph) -> None:
    assert len(real.records) == 300
    assert real.counts.get("prompts not parsed", 0) <= 0.005 * real.counts["prompts"]
    wordings = Counter(asked.wording for r in real.records for asked in r.paraphrases)
    assert wordings["unseen"] == 150 and wordings["seen"] >= 440
    assert sum(len(r.neighbours) for r in real.records) >= 0.98 * 3000
    assert 1000 <= len(real.facts) / 2 <= 1600
    assert all(len(facts) >= 2 for facts in list(real.about.values())[:100])


def test_the_real_files_prompts_come_out_word_for_word(real: graph.KnowledgeGraph) -> None:
    rows = {row["case_id"]: row for row in json.loads(REAL.read_text(encoding="utf-8"))}
    for kept in real.records:
        row = rows[kept.case]
        prompts = [a.template.replace("{}", a.subject, 1) for a in kept.paraphrases]
        assert prompts == [text.strip() for text in row["paraphrase_prompts"]]
        near = [a.template.replace("{}", a.subject, 1) for a in kept.neighbours]
        assert set(near) <= {text.strip() for text in row["neighborhood_prompts"]}
