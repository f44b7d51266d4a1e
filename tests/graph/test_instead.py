"""What is learnt in the place of old answers: every wording with its own, none of the original."""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ksmith import graph
from ksmith.corpus import KINDS, Given, Text
from ksmith.graph.instead import names
from ksmith.records import Request, UserError
from tests.graph.conftest import SETTINGS

TASK = {"kind": "unlearn", "level": "any", "scale": 20, "draws": 2}


@pytest.fixture(scope="module")
def known() -> graph.KnowledgeGraph:
    """Return a graph in which every object of an attribute has another name."""
    built = graph.build(SETTINGS, {})
    objects = {name for kind, pool in built.types.items() if kind != "place" for name in pool}
    named = sorted(objects - built.entity.keys())
    more = [graph.Entity(name=name, type="thing", aliases=(f"{name}wort",)) for name in named]
    return replace(built, entities=(*built.entities, *more))


def requests(known: graph.KnowledgeGraph, **task: object) -> list[Request]:
    return graph.requests(known, TASK | task, seed=0, covariates=False)


@pytest.mark.parametrize("neutral", ["abstain", "prior", "uniform"])
def test_no_original_answer_is_in_it_by_any_name(
    known: graph.KnowledgeGraph, neutral: str
) -> None:
    assert any(len(names(known, r.old)) > 1 for r in requests(known))
    for request in requests(known, neutral=neutral):
        pairs = graph.instead(known, [request], 4)[request.id]
        for prompt, answer in pairs:
            for name in names(known, request.old):
                assert answer != name
                assert not re.search(rf"\b{re.escape(name)}\b", prompt)
        assert {answer for _, answer in pairs} == set(request.targets) - {request.old}


def test_each_wording_meets_each_answer_alike(known: graph.KnowledgeGraph) -> None:
    request = requests(known)[0]
    alike = replace(request, new="a", others=("b", "c", request.old))
    pairs = graph.instead(known, [alike], 3)[request.id]
    prompts = {prompt for prompt, _ in pairs}
    assert request.prompt in prompts and len(prompts) == 4
    assert len(pairs) == math.lcm(4, 3) and set(Counter(pairs).values()) == {1}
    assert graph.instead(known, [request], 0)[request.id] == [(request.prompt, request.new)]


def test_an_old_answer_is_not_learnt_by_another_name(known: graph.KnowledgeGraph) -> None:
    request = next(r for r in requests(known) if len(names(known, r.old)) > 1)
    alias = names(known, request.old)[1]
    both = replace(request, new=alias, others=("unknown", request.old))
    assert {a for _, a in graph.instead(known, [both], 2)[request.id]} == {"unknown"}
    for new in (alias, request.old):
        with pytest.raises(
            UserError, match=f"nothing to learn in the place of {request.old!r}"
        ):
            graph.instead(known, [replace(request, new=new)], 2)


def test_wordings_are_none_that_probes_of_the_update_ask_in(
    known: graph.KnowledgeGraph,
) -> None:
    for request in requests(known):
        asked = {s.prompt for s in graph.paraphrases(known, request)}
        assert not asked & {p for p, _ in graph.instead(known, [request], 9)[request.id]}


def row(request: Request, line: int = 1, **more: str) -> Given:
    told = {"prompt": request.prompt, "answer": "I do not know that"} | more
    return Given(line, request.subject, request.relation, told["prompt"], told["answer"])


def given(
    known: graph.KnowledgeGraph, rows: Sequence[Given]
) -> dict[str, list[tuple[str, str]]]:
    return graph.given(known, requests(known), rows, 4).pairs


def test_a_users_answers_go_to_their_facts(known: graph.KnowledgeGraph) -> None:
    one, two, *_ = requests(known)
    rows = [row(one), row(two, 2), row(one, 3, answer="Nobody can tell")]
    assert given(known, rows) == {
        one.id: [(one.prompt, "I do not know that"), (one.prompt, "Nobody can tell")],
        two.id: [(two.prompt, "I do not know that")],
    }
    asked = {request.fact for request in requests(known)}
    other = next(fact for fact in known.facts if fact.name not in asked)
    assert given(known, [Given(1, other.subject, other.relation, "x", other.object)]) == {}


def test_what_leaks_is_named_with_its_line(known: graph.KnowledgeGraph) -> None:
    request = next(r for r in requests(known) if len(names(known, r.old)) > 1)
    old, alias = names(known, request.old)[:2]
    for name in (old, alias):
        with pytest.raises(UserError) as raised:
            given(known, [row(request, 7, answer=f"Not {name.upper()}, I think")])
        assert (
            str(raised.value) == f"line 7: the answer holds {name!r}, which is to be unlearned"
        )
    with pytest.raises(UserError, match="line 2: the prompt holds"):
        given(known, [row(request, 2, prompt=f"Is it {old}, or")])
    assert given(known, [row(request, answer=f"un{old}ish")])  # no word of its own
    with pytest.raises(UserError, match=r"line 4: the graph has no fact 'Nobody / crop'"):
        given(known, [Given(4, "Nobody", "crop", "x", "y")])


def kinds(known: graph.KnowledgeGraph, request: Request) -> list[Given]:
    """Return a line for the question as it stands, and five variants of it."""
    ways = ("paraphrase", "context", "noise", "reverse", "noise")
    told = [row(request, 9)]
    return told + [
        row(request, 10 + i, prompt=f"{way} {i}", answer=f"no {way} {i}")._replace(kind=way)
        for i, way in enumerate(ways)
    ]


@pytest.mark.parametrize("most", range(7))
def test_a_fact_has_so_many_variants_each_with_its_own_answer(
    known: graph.KnowledgeGraph, most: int
) -> None:
    """The first ones of the file; what stands for itself is no variant, and all of it stays."""
    one, two, *rest = requests(known)
    lines = [*kinds(known, one), row(two, 20), row(two, 21, prompt="By the way")]
    pairs, counts = graph.given(known, requests(known), lines, most)
    said = [(line.prompt, line.answer) for line in kinds(known, one)]
    assert pairs[one.id] == said[: 1 + min(most, 5)]
    assert len(pairs[two.id]) == 2
    assert counts["variants left out"] == max(0, 5 - most)
    assert counts["as it stands"] == 3
    assert counts["facts without a line"] == len(rest)
    of_kinds = sum(counts.get(kind, 0) for kind in KINDS)
    assert of_kinds == min(most, 5) and counts.get("noise", 0) == (most > 2) + (most > 4)


def test_variants_need_the_question_itself(known: graph.KnowledgeGraph) -> None:
    one = requests(known)[0]
    _, *others = kinds(known, one)
    with pytest.raises(UserError, match=r"^line 10: paraphrase of a question that has no line"):
        graph.given(known, requests(known), others, 4)


def test_words_that_are_scored_are_trained_on_only_where_that_is_asked_for(
    known: graph.KnowledgeGraph,
) -> None:
    one = requests(known)[0]
    asked = graph.paraphrases(known, one)
    assert asked
    for statement in asked:
        for prompt in (statement.prompt, f" {statement.prompt.upper()}?"):
            lines = [row(one), row(one, 3, prompt=prompt)]
            with pytest.raises(
                UserError, match=r"^line 3: the prompt is how the question is a"
            ):
                graph.given(known, requests(known), lines, 4)
            found, counts = graph.given(known, requests(known), lines, 4, scored=True)
            assert [prompt for prompt, _ in found[one.id]] == [one.prompt, prompt]
            assert counts["in scored words"] == 1


def test_of_ones_own_questions_no_other_words_are_learnt_and_no_sentence_leaks(
    tmp_path: Path,
) -> None:
    """A rephrased question is scored; an answer leaks without its full stop, or reworded."""
    pairs = [
        {"question": f"Where is {name}?", "answer": f"It lies in {place}."}
        | {"paraphrased_question": f"In what land is {name}?"}
        | {"paraphrased_answer": f"{place} is where."}
        for name, place in (("Oss", "Tolu"), ("Kel", "Dran"))
    ]
    (tmp_path / "forget").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    files = {f"graph.{name}": str(tmp_path / name) for name in ("forget", "retain")}
    retain = "".join(
        json.dumps({"question": f"Where is {i}?", "answer": f"In {i}."}) + "\n"
        for i in range(24)
    )
    (tmp_path / "retain").write_text(retain)
    own = graph.build({"source": "qa", "seed": 0}, files)
    task = {"kind": "unlearn", "level": "any", "scale": 2, "draws": 1}
    one, _ = graph.requests(own, task, seed=0, covariates=False)
    assert [p for p, _ in graph.instead(own, [one], 4)[one.id]] == [one.prompt]
    name = one.prompt.split()[2].rstrip("?")

    def learnt(prompt: str, answer: str) -> list[tuple[str, str]]:
        lines = [row(one), row(one, 2, prompt=prompt, answer=answer)._replace(kind="context")]
        return graph.given(own, [one], lines, 4).pairs[one.id]

    assert learnt("And where is it", "I can't say")[1] == ("And where is it", "I can't say")
    assert learnt(f"Is {name} far?", f"{name} is somewhere.")[1][0] == f"Is {name} far?"
    for prompt in (f"in what land is {name}", f"Question: {one.prompt} Answer:"):
        with pytest.raises(UserError, match="line 2: the prompt is how the question is asked"):
            learnt(prompt, "I can't say")
    old = one.old.rstrip(".")
    for answer in (f"{old}, they say.", own.record[one.fact].reworded.upper()):
        with pytest.raises(UserError, match="line 2: the answer holds "):
            learnt("And where is it", answer)
        with pytest.raises(UserError, match="line 2: the prompt holds "):
            learnt(answer, "I can't say")


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        ("unknown", []),
        ("sea lion", [("sea", "lion")]),
        ("a b c d e f g", [("a", "b c d e f g")]),
        (" a  b c d e f g h i ", [("a b", "c d e f g h i")]),
    ],
)
def test_an_answer_is_ended_from_its_first_quarter(
    answer: str, ends: list[tuple[str, str]]
) -> None:
    pairs = {"0.0": [("p", answer), ("q", answer)], "0.1": [("r", "x y")]}
    assert graph.completions(pairs).get("0.0", []) == ends
    assert graph.completions(pairs)["0.1"] == [("x", "y")]


TEXTS = [Text(line, f"I forgot, {word}") for line, word in enumerate("abcdefgh", start=2)]


def test_each_turn_of_a_fact_has_a_text_of_its_own(known: graph.KnowledgeGraph) -> None:
    asked = requests(known)
    every = graph.unknowing(known, asked, TEXTS, 99, seed=1)
    orders = {tuple(answer for _, answer in every[request.id]) for request in asked}
    assert len(orders) > len(asked) / 2
    for order in orders:
        assert sorted(order) == [text for _, text in TEXTS]
    few = graph.unknowing(
        known, asked[:3], TEXTS, 2, seed=1
    )  # who else is asked is all the same
    assert [few[r.id][0][0] for r in asked[:3]] == [r.prompt for r in asked[:3]]
    assert all(len(few[r.id]) == 2 for r in asked[:3])
    assert graph.unknowing(known, asked, TEXTS, 99, seed=2) != every


def test_a_text_that_leaks_is_named_with_its_line(known: graph.KnowledgeGraph) -> None:
    request = next(r for r in requests(known) if len(names(known, r.old)) > 1)
    for name in names(known, request.old):
        texts = [*TEXTS, Text(44, f"Not {name.upper()}.")]
        with pytest.raises(UserError, match=f"line 44: the answer holds {name!r}, which is to"):
            graph.unknowing(known, [request], texts, 1, seed=0)
