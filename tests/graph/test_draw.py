"""The picture of a graph: everything is on it, in colours and letters that can be told apart."""

import itertools
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.font_manager import fontManager
from matplotlib.image import imread

from ksmith import graph
from ksmith.graph import Entity, KnowledgeGraph
from ksmith.graph.colours import MEANT, distance, oklab, palette
from ksmith.graph.draw import Words, draw
from ksmith.graph.lettering import OWN, clean, lettering
from ksmith.graph.rings import LABELS, MOST, RADIUS, grouped, layout, reach, sectors
from ksmith.settings.graph import DOMAINS, Synthetic

# No font that comes with matplotlib has Thai or Chinese; that one has Arabic and Georgian.
NOTHING = "\U0009fffe"  # is no letter and never will be
STRANGE = ("東京都", "กรุงเทพ", NOTHING)
KNOWN = ("مدينة السلام", "ירושלים", "თბილისი", "$x_{$ 5", "São Tomé", "a\x00b")


@pytest.fixture(scope="module")
def four() -> KnowledgeGraph:
    domains = ("places", "companies", "creatures", "schools")
    values = asdict(Synthetic(facts=900, domains=domains, several=True))
    return graph.build({"source": "synthetic", "version": 1, **values}, {})


def renamed(known: KnowledgeGraph, names: tuple[str, ...]) -> KnowledgeGraph:
    """Return the graph with other names for its first entities, which are roots."""
    new = dict(zip((e.name for e in known.entities), names, strict=False))
    return replace(
        known,
        entities=tuple(replace(e, name=new.get(e.name, e.name)) for e in known.entities),
        facts=tuple(
            replace(
                f, subject=new.get(f.subject, f.subject), object=new.get(f.object, f.object)
            )
            for f in known.facts
        ),
    )


# --- colours ----------------------------------------------------------------------------------


def test_oklab_has_the_values_of_its_paper() -> None:
    assert oklab("#ffffff") == pytest.approx((1, 0, 0), abs=1e-3)
    assert oklab("#ff0000") == pytest.approx((0.628, 0.225, 0.126), abs=1e-3)
    assert distance("#0000ff", "#0000ff") == 0


@pytest.mark.parametrize(
    ("columns", "rows", "apart"),
    [(1, 4, 0.1), (1, MOST, 0.07), (2, 5, 0.1), (4, 5, 0.07), (4, 8, 0.06), (6, 5, 0.045)],
)
def test_colours_can_be_told_apart_and_are_none_that_mean_something(
    columns: int, rows: int, apart: float
) -> None:
    made = palette(columns, rows)
    assert [len(shades) for shades in made] == [rows] * columns
    flat = [colour for shades in made for colour in shades]
    assert min(distance(*pair) for pair in itertools.combinations(flat, 2)) > apart
    assert min(distance(a, b) for a in (*flat, "#ffffff") for b in MEANT) > 0.09
    assert min(distance(*pair) for pair in itertools.combinations(MEANT, 2)) > 0.15


def test_a_single_ring_has_a_colour() -> None:
    assert len(palette(1, 1)[0]) == 1
    assert palette(1, 0) == [[]]


# --- places -----------------------------------------------------------------------------------


def test_domains_are_sectors_of_the_same_rings(four: KnowledgeGraph) -> None:
    rings = layout(four)
    assert list(rings)[:3] == ["root", "intermediate", "leaf"]
    assert list(rings)[3] == "person / manager / naturalist / thinker"
    place = {name: at for ring in rings.values() for name, at in ring.items()}
    assert sorted(place) == sorted(four.entity)
    ranges = sectors(grouped(four))
    assert list(ranges) == list(DOMAINS)
    for entity in four.entities:
        start, width = ranges[entity.domain or ""]
        x, y = place[entity.name]
        assert start < math.atan2(y, x) % math.tau < start + width
    ends = [end for start, width in ranges.values() for end in (start, start + width)]
    assert ends == sorted(ends) and ends[-1] < math.tau


def test_types_like_levels_and_many_types_are_all_there(world: KnowledgeGraph) -> None:
    more = [Entity(name=f"x{i}", type=f"kind {i % 30}") for i in range(300)]
    more += [
        Entity(name="y", type="leaf"),
        *(Entity(name=f"z{i}", type="big") for i in range(40)),
    ]
    wide = replace(world, entities=(*world.entities, *more))
    rings = layout(wide)
    assert len(rings) == MOST
    assert sorted(n for ring in rings.values() for n in ring) == sorted(wide.entity)
    assert len(rings["big"]) == 40
    assert list(rings)[-1].endswith(" other types")
    assert "y" not in rings["leaf"]


def test_many_names_widen_the_innermost_ring() -> None:
    def inner(facts: int) -> tuple[int, float]:
        values = asdict(Synthetic(facts=facts))
        built = graph.build({"source": "synthetic", "version": 1, **values}, {})
        (first, *_) = layout(built).values()
        return len(first), math.hypot(*next(iter(first.values())))

    few, many, more = inner(400), inner(3000), inner(5000)
    assert few[1] == more[1] == RADIUS
    assert 50 < many[0] <= LABELS < more[0]
    assert many[1] > 1.3 * RADIUS


def test_a_graph_without_anything_has_no_rings() -> None:
    empty = KnowledgeGraph(
        source="none", settings={}, types={}, entities=(), relations=(), facts=()
    )
    assert layout(empty) == {}
    assert reach(layout(empty)) == RADIUS


# --- letters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\t and", "two lines and"),
        ("a\x00b", "a\ufffdb"),
        ("\u202eright\u202c to left\ufe0f", "right to left"),
        ("x" * 20, "x" * 20),
        ("x" * 21, "x" * 19 + "\u2026"),
        ("東" * 10, "東" * 10),
        ("東" * 11, "東" * 9 + "\u2026"),
        ("e\u0301" * 20, "e\u0301" * 20),
        ("e\u0301" * 21, "e\u0301" * 19 + "\u2026"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
    ],
)
def test_a_name_is_one_short_line_of_what_is_seen(name: str, shown: str) -> None:
    assert clean(name) == shown


def test_what_one_font_lacks_another_may_have() -> None:
    """Some sign that is in STIX, which comes with matplotlib too, and not in DejaVu Sans."""
    own = [entry for entry in fontManager.ttflist if entry.name in (OWN, "STIXGeneral")]
    letter = next(
        chr(code)
        for code in range(0x2000, 0x2C00)
        if lettering([chr(code)], own).families == (OWN, "STIXGeneral")
    )
    assert lettering([letter], own).writes(f"a {letter}")
    alone = lettering([letter], [entry for entry in own if entry.name == OWN])
    assert alone.families == (OWN,)
    assert alone.lacking == {letter}
    assert not alone.writes(letter) and alone.writes("a")


def test_the_font_of_boxes_is_no_font() -> None:
    found = lettering([f"a{NOTHING}"])
    assert found.lacking == {NOTHING}
    assert found.families == (OWN,)


def test_a_font_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    (own, *_) = [e for e in fontManager.ttflist if e.name == OWN and e.weight == 400]
    entry = replace(own, fname=str(broken), name="Broken")
    assert lettering(["東"], [own, entry]).lacking == {"東"}


def test_a_name_that_no_font_has_is_a_number_and_the_picture_says_so(
    world: KnowledgeGraph, tmp_path: Path
) -> None:
    strange = renamed(world, (f"{NOTHING} one", *KNOWN[:2], f"{NOTHING} two"))
    words = Words.of(strange, layout(strange), grouped(strange))
    for name in KNOWN[:2]:
        assert words.name(name) == clean(name)
    assert (words.name(f"{NOTHING} one"), words.name(f"{NOTHING} two")) == ("#0", "#3")
    assert words.caption().startswith("#0: a name that no installed font can write")
    graph.save(strange, tmp_path)
    nodes = json.loads((tmp_path / "graph.json").read_text(encoding="utf-8"))["nodes"]
    assert [nodes[0]["id"], nodes[3]["id"]] == [f"{NOTHING} one", f"{NOTHING} two"]
    assert Words.of(world, layout(world), grouped(world)).caption() == ""
    assert words.kind(NOTHING) == "U+9FFFE"


# --- pictures ---------------------------------------------------------------------------------


def test_every_ring_of_every_domain_is_in_its_colour(
    four: KnowledgeGraph, tmp_path: Path
) -> None:
    draw(four, tmp_path / "four.png")
    pixels = (255 * imread(tmp_path / "four.png")[..., :3]).round().astype(np.int64)
    seen = set(np.unique(pixels @ [65536, 256, 1]).tolist())
    wanted = {c for shades in palette(4, len(layout(four))) for c in shades}
    assert len(wanted) == 20
    assert {int(colour[1:], 16) for colour in wanted} <= seen


@pytest.mark.parametrize("domains", [1, 4])
def test_hard_names_and_types_are_drawn_without_a_warning(
    four: KnowledgeGraph, world: KnowledgeGraph, tmp_path: Path, domains: int
) -> None:
    """Warnings are errors here, and a letter that a font lacks is warned of."""
    known = renamed(world if domains == 1 else four, (*STRANGE, *KNOWN))
    odd = {"person": "人物 $", "manager": "مدير"}
    entities = tuple(replace(e, type=odd.get(e.type, e.type)) for e in known.entities)
    path = tmp_path / "hard.png"
    draw(replace(known, entities=entities), path)
    assert path.read_bytes().startswith(b"\x89PNG")
