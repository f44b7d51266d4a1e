"""KFR, KRR and LS by hand: every threshold, from both sides; which entities a text has."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmith.measures import judged, memory, memory_models, recalled
from ksmith.measures.entities import Named, Rare
from tests.measures.test_memory import named, of_statements, rows

# --- coverage ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cosines", "covered"),
    [
        ([[0.8, 0.1], [0.2, 0.3]], 0.5),  # .8 is alike
        ([[0.7999, 0.1]], 0.0),
        # Pairs are counted, as published: two that are like one of the answer are two.
        ([[0.9, 0.1], [0.9, 0.1]], 1.0),
        ([[0.9], [0.9]], 2.0),
        ([[1, 0, 0, 0]], 0.25),
    ],
)
def test_coverage_by_hand(cosines: list[list[float]], covered: float) -> None:
    assert judged.coverage(np.array(cosines, dtype=np.float32)) == covered


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_written_or_nothing_to_write_covers_nothing(shape: tuple[int, int]) -> None:
    assert judged.coverage(np.zeros(shape, dtype=np.float32)) == 0


def test_entities_of_the_question_are_left_out_and_no_entity_counts_twice() -> None:
    question = "Where was Ada Byron born?"
    assert judged.kept(["Oslo", "Byron Hall", "ADA", "Oslo", "Bern"], question) == [
        "Oslo",
        "Bern",
    ]
    assert judged.kept([], question) == []


# --- KFR and KRR ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nli", "covered", "entities", "gone"),
    [
        ("contradiction", 1.0, 4, True),
        ("neutral", 0.3, 4, True),
        ("neutral", 0.31, 4, False),
        ("entailment", 0.31, 4, False),
        # Of 3 entities or fewer .5 is the bound.
        ("neutral", 0.5, 3, True),
        ("neutral", 0.51, 3, False),
        ("neutral", 0.5, 4, False),
        ("entailment", 0.0, 0, True),  # an answer without entities is always forgotten
    ],
)
def test_forgotten_by_hand(nli: str, covered: float, entities: int, gone: bool) -> None:
    assert judged.forgotten(nli, covered, entities) is gone


@pytest.mark.parametrize(
    ("nli", "covered", "there"),
    [
        ("entailment", 0.3, True),
        ("neutral", 0.3, True),
        ("neutral", 0.29, False),
        ("contradiction", 1.0, False),
    ],
)
def test_retained_by_hand(nli: str, covered: float, there: bool) -> None:
    assert judged.retained(nli, covered) is there


SAID = [("forget", 0.5, 0.2), ("forget", 0.5, 0.2), ("retain", 0.5, 0.2), ("holdout", 0.5, 0.2)]


def read(**columns: list[Any]) -> pl.DataFrame:
    """Return four facts with what was said of their texts."""
    table = rows(SAID, texts=["Oslo", "", "Oslo Oslo Bergen", "Bergen Oslo"])
    size = table.height
    every = {name: columns.get(name, [None] * size) for name in judged.SCHEMA}
    return table.hstack(pl.DataFrame(every, judged.SCHEMA))


BOTH = {
    "nli": ["neutral", "contradiction", "neutral", "contradiction"],
    "coverage": [1.0, 1.0, 0.5, 0.5],
    "entities": [["Oslo"], ["Oslo"], ["Oslo", "Rome"], []],
    "cut": [True, False, False, False],
}


@pytest.mark.parametrize(("by", "end"), [("names", ""), ("model", ""), ("words", "_words")])
def test_rates_are_of_their_sets_and_named_by_what_found_the_entities(
    by: str, end: str
) -> None:
    found = of_statements(read(**BOTH, by=[by] * 4))
    value = {name: metric.value for (_, name), metric in found.items()}
    assert value[f"memory.kfr{end}.forget"] == 0.5
    assert value[f"memory.krr{end}.retain"] == 1
    assert value[f"memory.krr{end}.holdout"] == 0
    assert value["memory.contradiction.forget"] == 0.5
    assert value[f"memory.entity_coverage{end}.retain"] == 0.5
    assert value["memory.no_entity.holdout"] == 1
    assert value["memory.judge_cut.forget"] == 0.5
    other = "" if end else "_words"
    never = {f"kfr{end}.retain", f"krr{end}.forget", f"kfr{other}.forget", f"krr{other}.retain"}
    assert not {f"memory.{name}" for name in never} & set(value)


def test_what_no_judge_read_is_absent_not_zero() -> None:
    names = {name for _, name in of_statements(read())}
    told = ("kfr.", "krr.", "kfr_words", "krr_words", "contradiction", "entity", "judge_cut")
    assert not [name for name in names if any(part in name for part in told)]
    alone = {"coverage": BOTH["coverage"], "entities": BOTH["entities"], "by": ["names"] * 4}
    names = {name for _, name in of_statements(read(**alone))}
    assert "memory.entity_coverage.forget" in names and "memory.kfr.forget" not in names
    names = {name for _, name in of_statements(read(nli=BOTH["nli"]))}
    assert "memory.contradiction.forget" in names and "memory.kfr.forget" not in names


# --- LS ---------------------------------------------------------------------------------------


def test_linguistic_score_is_of_the_means_that_are_reported_beside_it() -> None:
    table = read(surprise=[4.0, None, 10.0, 2.0])
    value = {name: m.value for (_, name), m in of_statements(table).items()}
    assert value["memory.perplexity.forget"] == 4  # the text without words is in none of them
    assert value["memory.brunet.forget"] == 1 and value["memory.honore.forget"] == 0
    assert value["memory.wordless.forget"] == 0.5
    # "Oslo Oslo Bergen": 3 words, 2 different, one of them once.
    brunet, honore = 3 ** (2**-0.165), 100 * math.log(3) / (1 - 1 / 2 + 0.1)
    assert value["memory.brunet.retain"] == pytest.approx(brunet)
    assert value["memory.honore.retain"] == pytest.approx(honore)
    found = named(memory_models.metrics(table, 0))
    parts = (1 / 11, 1 / (1 + brunet), honore / (1 + honore))
    assert found[1, "memory.linguistic_score.retain"].value == pytest.approx(
        3 / sum(1 / part for part in parts)
    )
    assert found[1, "memory.linguistic_score.forget"].value == 0  # all texts are of one word
    assert (1, "memory.linguistic_score.holdout") in found


def test_linguistic_score_of_several_facts_is_of_their_means() -> None:
    table = rows([("retain", 0.5, 0.2)] * 2, texts=["a b", "a b c"])
    table = table.with_columns(surprise=pl.Series([2.0, 4.0]))
    value = named(memory_models.metrics(table, 0))[1, "memory.linguistic_score.retain"]
    brunet = np.mean([recalled.brunet(list("ab")), recalled.brunet(list("abc"))])
    honore = np.mean([recalled.honore(list("ab")), recalled.honore(list("abc"))])
    assert value.value == pytest.approx(3 / (1 + 3 + 1 + brunet + 1 + 1 / honore))
    assert value.n == 2 and value.low is not None


def test_rows_that_were_written_before_there_were_judges_are_read() -> None:
    table = rows(SAID, texts=["Oslo"] * 4)
    assert memory.told(table)["perplexity"].null_count() == 4
    assert not [n for _, n in named(memory_models.metrics(table, 0)) if "linguistic" in n]


# --- entities ---------------------------------------------------------------------------------

NAMES = (
    ("Oslo", "Oslo"),
    ("Oslo Bay", "Oslo Bay"),
    ("New Oslo", "New Oslo"),
    ("Christiania", "Oslo"),
    ("Å", "Å"),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("OSLO, and  new\n oslo", ["Oslo", "New Oslo"]),  # the longest that begins there
        ("New Oslos Oslo", ["Oslo"]),  # words of their own
        ("Christiania or Oslo", ["Oslo"]),  # one thing under two names
        ("near Oslo", ["Oslo"]),  # where a longer name begins alike
        ("in Å", ["Å"]),
        ("Ås", []),
        ("", []),
        ("oslo-new oslo", ["Oslo", "New Oslo"]),
    ],
)
def test_names_of_a_graph_in_a_text(text: str, found: list[str]) -> None:
    assert Named(NAMES).found(text) == found


@given(
    st.lists(st.text("abB ", min_size=1, max_size=5), max_size=5), st.text("abB .", max_size=12)
)
def test_a_text_names_what_it_mentions(names: list[str], text: str) -> None:
    found = Named((name, name) for name in names).found(text)
    assert all(recalled.mentions(text, [name]) for name in found)
    assert bool(found) is recalled.mentions(text, names)


def test_of_two_that_are_spelled_alike_the_first_holds_and_no_name_is_empty() -> None:
    assert Named([("Oslo", "the town"), ("oslo", "other"), (" ", "none")]).found("Oslo ") == [
        "the town"
    ]


def test_words_of_more_than_a_tenth_of_all_answers_name_nothing() -> None:
    rare = Rare([f"The town of {'abcdefghij'[i % 10]}" for i in range(40)] + ["The sea"] * 4)
    # 44 answers: more than 4 of them.
    assert rare.found("The sea of the 3 new towns") == ["sea", "3", "new", "towns"]
    few = Rare(["the sea", "the town", "the sea"])  # of few answers more than 2
    assert few.found("the sea") == ["sea"]


def test_what_is_written_as_names_are_is_never_common() -> None:
    rare = Rare(["He was born in Oslo in 1905. The end, May he may say."] * 30)
    # "He" and "The" stand where a sentence begins, "May" also without its capital.
    assert rare.found("The Oslo of 1905, he may say") == ["oslo", "of", "1905"]
    assert Rare(["東京に住む"] * 30).found("東京に住む") == []  # a script without capitals
