"""Which other names of an answer its question carries."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.graph import Entity, KnowledgeGraph
from ksmith.measures.prepared import plain
from ksmith.probe import lettered, questions
from ksmith.probe.aliases import Aliases, spelling
from ksmith.probe.generate import Trial, generate
from ksmith.records import Question
from ksmith.settings.probe import KINDS, Probe
from tests.probe.world import of, request, texts, world

EMBLEM = request("Aro", "emblem", "fern")
LEADER = request("Aro", "leader", "Ruth")
SETTINGS: dict[str, Any] = asdict(Probe(kinds=KINDS))
Called = Mapping[str, tuple[str, ...]]


def called(names: Called) -> KnowledgeGraph:
    """Return the world with aliases."""
    known = world()
    own = [replace(entity, aliases=names.get(entity.name, ())) for entity in known.entities]
    others = [Entity(name=n, type="", aliases=a) for n, a in names.items()]
    there = {entity.name for entity in own}
    return replace(known, entities=(*own, *(e for e in others if e.name not in there)))


def ask(names: Called, *requests: Any) -> list[Question]:
    return questions(called(names), requests, SETTINGS, seed=0)


def test_every_answer_brings_its_own_aliases() -> None:
    names = {"fern": ("bracken",), "ivy": ("Hedera", "Woodbine"), "Aro": ("Old Aro",)}
    asked = ask(names, EMBLEM, replace(LEADER, id="0.1"))
    for question in asked:
        if question.probe in ("known", "utility") or not question.prompt:
            assert (question.aliases, question.aliases_before) == ((), ())
            continue
        after, before, _ = texts(question)
        assert question.aliases == names.get(after or "", ())
        assert question.aliases_before == names.get(before or "", ())
    assert any(q.aliases == ("Old Aro",) for q in of(asked, "reverse"))
    assert all(not q.aliases for q in lettered(asked))


def test_without_aliases_questions_are_what_they_were() -> None:
    plain = questions(world(), [EMBLEM], SETTINGS, seed=0)
    assert not any(question.aliases + question.aliases_before for question in plain)
    asked = ask({"fern": ("bracken",)}, EMBLEM)
    assert [q._replace(aliases=(), aliases_before=()) for q in asked] == plain


@pytest.mark.parametrize(
    ("names", "fern"),
    [
        ({"fern": ("bracken",)}, ("bracken",)),
        ({"fern": ("bracken",), "Pia": ("bracken",)}, ("bracken",)),  # no plant: no doubt
        ({"fern": ("bracken",), "cedar": ("Bracken",)}, ()),  # which of the two?
        ({"fern": ("bracken", "brake"), "cedar": ("bracken .",)}, ("brake",)),
        ({"fern": ("Cedar",)}, ()),  # that is what another is called
        ({"fern": ("ARO",)}, ()),  # the subject over again
        ({"fern": ("Old Aro",), "Aro": ("old aro",)}, ()),
        ({"fern": ("Fern!", "?", "")}, ()),  # its own name, and nothing to be written
        ({"fern": ("bracken", "bracken")}, ("bracken",)),
    ],
)
def test_an_alias_counts_where_it_is_clear_who_is_meant(
    names: Called, fern: tuple[str, ...]
) -> None:
    asked = of(ask(names, EMBLEM), "efficacy")
    assert [question.aliases for question in asked] == [fern]


def test_an_alias_that_two_share_counts_for_neither() -> None:
    (question,) = of(ask({"fern": ("brake",), "ivy": ("brake",)}, EMBLEM), "efficacy")
    assert (question.aliases, question.aliases_before) == ((), ())


def test_answers_of_no_type_are_told_apart_too() -> None:
    """A benchmark may ask for an object that is none of the relation's."""
    known = called({"moss": ("green", "soft"), "lichen": ("green",)})
    found = Aliases(known)
    assert found.of("emblem", "moss", ["Aro", "ivy"]) == ("green", "soft")
    assert found.of("emblem", "moss", ["Aro", "lichen"]) == ("soft",)
    assert found.of("emblem", None, ["Aro"]) == ()
    assert found.of("emblem", "nobody", ["Aro"]) == ()


LETTERS = st.text("aAbB\u00df\u0130\u03a3\u03c3\u00e9 .,-'\u3000\u060c\u093f\u0301", max_size=6)


ANY = st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=3)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(LETTERS, ANY), min_size=2, max_size=60))
def test_what_is_compared_as_equal_is_spelled_alike(names: list[str]) -> None:
    """So that no alias gets by that written text could not tell from another name."""
    column = pl.DataFrame({"name": pl.Series(names, dtype=pl.String)})
    compared = column.select(plain(pl.col("name")))["name"].to_list()
    by: dict[str, set[str]] = {}
    for name, text in zip(names, compared, strict=True):
        by.setdefault(text, set()).add(spelling(name))
    assert all(len(found) == 1 for found in by.values())
    assert by.get("", {""}) == {""}


def test_the_file_of_questions_has_them(tmp_path: Any) -> None:
    known = called({"fern": ("bracken",), "ivy": ("Hedera",)})
    trial = Trial(name="b", graph=known, requests=[EMBLEM], settings=SETTINGS, seed=0)
    generate([trial], tmp_path / "q.parquet", workers=1)
    rows = pq.read_table(tmp_path / "q.parquet").to_pylist()
    (row,) = [row for row in rows if row["probe"] == "efficacy"]
    assert (row["aliases"], row["aliases_before"]) == (["bracken"], ["Hedera"])
