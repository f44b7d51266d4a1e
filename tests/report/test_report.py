"""The report: one file, no network, no script; text is data; numbers are the frames'."""

import re
from html.parser import HTMLParser
from itertools import islice
from typing import Any

import polars as pl
import pytest

from ksmith import measures
from ksmith.report import cells, figures, page, results, tables
from ksmith.report.content import Failure
from ksmith.report.html import Html, join, tag
from ksmith.report.looks import VARIABLES, looks
from ksmith.report.panels import Panel
from tests.report.made_up import METHODS, by_hop, content, few, headline, metrics, trials

ATTACK = '<script>alert("&1")</script>'


class Reader(HTMLParser):
    """Checks that tags nest, and keeps tags, addresses and ids."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"href", "src", "xlink:href", "action", "data"}:
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def whole() -> str:
    return page.render(content())


def test_page_is_well_formed_and_complete(whole: str) -> None:
    reader = read(whole)
    text = " ".join(reader.texts)
    assert len(reader.ids) == len(set(reader.ids))
    for name in (*METHODS, "root", "intermediate", "leaf", "Efficacy", "Utility loss (nats)"):
        assert name in text, name
    assert "1 model seed: training variance is not covered" in text
    assert "oom" in text
    assert "left out for root, intermediate" in text
    assert "60 % (multi-hop) of them" in text
    assert reader.tags.count("svg") == 5  # three measures over scale, a trade-off, the plane
    assert "All methods on one plane" in text
    assert "Against gold models (leaf, scale 10)" in text and "within" in text
    assert "half-point" in text


def test_page_needs_no_network_and_no_script(whole: str) -> None:
    reader = read(whole)
    assert (
        "script" not in reader.tags
        and "link" not in reader.tags
        and "iframe" not in reader.tags
    )
    outside = [
        address
        for address in reader.addresses
        if not address.startswith(("#", "data:image/", "http://127.0.0.1:5000/#/runs/"))
    ]
    assert outside == []
    assert "@import" not in whole
    assert not re.search(r"url\((?!#)", whole)


def test_drawings_take_the_colours_of_the_page(whole: str) -> None:
    for stand_in in VARIABLES:
        assert stand_in not in whole
    for number in range(len(METHODS)):
        assert f"stroke: var(--method-{number})" in whole


def test_same_content_same_drawing() -> None:
    made = few()
    table = cells.pooled(metrics(made), cells.name_series(made))
    styles = looks(["rome"], METHODS)
    panel = [Panel("Efficacy", "efficacy", "generated")]
    assert figures.curves(table, panel, styles, "t") == figures.curves(
        table, panel, styles, "t"
    )


@pytest.mark.parametrize("where", ["study", "question", "text", "home"])
def test_text_of_a_study_is_data(where: str) -> None:
    changes: dict[str, Any] = {where: ATTACK, "metrics": metrics(trials()).clear()}
    shown = page.render(content(**changes))
    assert "<script" not in shown
    assert ATTACK in " ".join(read(shown).texts)


def test_values_of_frames_are_data() -> None:
    table = few().filter(pl.col("method") == "rome")
    table = table.with_columns(pl.lit(ATTACK).alias("task.level"))
    table = table.with_columns(pl.Series("graph.path", [ATTACK, "b"]))
    shown = page.render(content(trials=table, metrics=metrics(table)))
    assert "<script" not in shown
    read(shown)


def test_study_without_results_says_so() -> None:
    empty = content(metrics=metrics(trials()).clear(), assets=(), failures=())
    shown = page.render(empty)
    read(shown)
    assert "No trial is done yet" in shown
    assert "What failed" not in shown


# --- cells ------------------------------------------------------------------------------------


def test_one_trial_a_cell_keeps_its_numbers() -> None:
    table = trials()
    measured = metrics(table)
    pooled = cells.pooled(measured, cells.name_series(table))
    key = {"step": 1, "probe": "efficacy", "measure": "generated", "slice": ""}
    (one,) = measured.filter(method="memit", level="leaf", scale=10, **key).rows(named=True)
    (cell,) = pooled.filter(series="memit", level="leaf", scale=10, **key).rows(named=True)
    for name in ("value", "low", "high", "n"):
        assert cell[name] == pytest.approx(one[name])


def test_seeds_are_pooled_by_the_measures_room() -> None:
    table = few(seeds=(0, 1, 2))
    measured = metrics(table)
    pooled = cells.pooled(measured, cells.name_series(table))
    here = {"probe": "paraphrase", "measure": "accuracy", "slice": "known", "step": 1}
    mine = measured.filter(method="npo", level="leaf", scale=1, **here)
    (cell,) = pooled.filter(series="npo", level="leaf", scale=1, **here).rows(named=True)
    of = ["method", "probe", "measure"]  # a measure's name says between what bounds it lies
    expected = measures.pool(mine, of, model_seed="model_seed").row(0, named=True)
    assert mine.height == 3
    assert cell["value"] == pytest.approx(expected["value"])
    assert (cell["low"], cell["high"]) == (expected["low"], expected["high"])


@pytest.mark.parametrize(("seeds", "told"), [((0, 1), True), ((0, 1, 2, 3, 4), False)])
def test_training_note_goes_at_five_model_seeds(seeds: tuple[int, ...], told: bool) -> None:
    title, note = islice(results.results(content(seeds)), 2)
    assert "Results" in str(title)
    assert ("training variance is not covered" in str(note)) == told


def test_derived_numbers_show_only_what_was_known_before() -> None:
    table = trials()
    pooled = cells.pooled(metrics(table), cells.name_series(table))
    shown = pooled.filter(
        pl.col("slice") == "derived", ~pl.col("measure").is_in(measures.GATES)
    )
    assert set(shown["level"]) == {"leaf"}
    assert cells.hidden(metrics(table), pooled) == ["root", "intermediate"]
    assert cells.spoken_for(pooled) == {"multi_hop": (0.6, 0.6)}


def test_series_are_named_by_what_varies_within_a_method() -> None:
    table = trials().filter(pl.col("method").is_in(["rome", "npo"]))
    doubled = pl.concat(
        [
            table.with_columns(pl.lit(0.05).alias("method.beta")),
            table.with_columns(
                pl.when(method="npo").then(0.1).otherwise(0.05).alias("method.beta"),
                pl.col("trial") + "b",
            ).filter(pl.col("method") == "npo"),
        ]
    )
    names = set(cells.name_series(doubled)["series"])
    # task.draws follows from the scale, so it names nothing.
    assert names == {"rome", "npo beta=0.05", "npo beta=0.1"}


def test_seconds_are_of_update_and_measurement() -> None:
    table = trials()
    costs = cells.seconds(table, cells.name_series(table), dict.fromkeys(table["trial"], 8.0))
    assert set(costs["seconds"]) == {12.5}


def test_hops_are_pooled_and_gated_each_by_itself() -> None:
    table = trials()
    found = cells.by_hop(by_hop(table), cells.name_series(table))
    after = found.filter(pl.col("step") == 1, series="rome", level="leaf", scale=1)
    stored, derived = (after.filter(slice=part) for part in ("stored", "derived"))
    assert stored.select("distance", "value").rows() == [(1, 1), (2, 1 / 2), (3, 1 / 3)]
    assert derived["distance"].to_list() == [1, 2]
    assert found["hop"].null_count() == found.height


@pytest.mark.parametrize(("hops", "drawn"), [((1, 2, 3), True), ((1,), False)])
def test_hops_are_drawn_where_there_is_more_than_one(
    hops: tuple[int, ...], drawn: bool
) -> None:
    table = few()
    shown = page.render(content(trials=table, metrics=headline(by_hop(table, hops))))
    text = " ".join(read(shown).texts)
    assert ("What follows, by hop" in text) is drawn
    assert ("hops from the request" in text) is drawn
    assert ("Right answer, derived" in text) is drawn


# --- what failed ------------------------------------------------------------------------------


def failed(number: int, error: str, **more: Any) -> Failure:
    key = f"trial-1-{number:020x}"
    return Failure(key=key, state="failed", reason="error", error=error, **more)


def test_one_cause_is_listed_once_with_the_trials_it_hit() -> None:
    waits = [
        Failure(
            key=f"trial-1-{n:020x}", state="blocked", reason="waits", error=f"model-1-{n}ab"
        )
        for n in range(100, 130)
    ]
    memory = [
        failed(n, f"out of memory: {n} MiB of {n + 0.5} GiB", attempts=2) for n in range(8)
    ]
    other = failed(50, "no such file")
    groups = page.causes([other, *memory, *waits])
    assert [len(group) for group in groups] == [30, 8, 1]
    nothing = metrics(few()).clear()  # what failed stands above the results
    reader = read(page.render(content(metrics=nothing, failures=(other, *memory, *waits))))
    text = " ".join(reader.texts)
    assert "8 trials" in text
    assert "30 trials" in text
    assert "error in 2 attempts" in text
    assert "and 5 more" in text
    assert sum(item.key in text for item in memory) == 3  # by name: the first ones
    assert text.count("no such file") == 1


def test_causes_that_differ_in_words_stay_apart() -> None:
    assert len(page.causes([failed(0, "layer is missing"), failed(1, "lr is missing")])) == 2
    asset = Failure(key="model-1-00ab00ab", state="failed", reason="error", error="x")
    assert len(page.causes([asset, failed(2, "x")])) == 2


# --- pieces -----------------------------------------------------------------------------------


def test_a_method_keeps_its_colour_in_every_report() -> None:
    alone = looks(["npo"], METHODS)["npo"]
    among = looks(["npo beta=0.1", *METHODS], METHODS)
    assert among["npo"] == alone
    assert len(set(among.values())) == len(among)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.954, ".95"),
        (1.0, "1.00"),
        (-0.02, "-.02"),
        (12.346, "12.35"),
        (None, "-"),
        (0.999, "1.00"),
        (-0.999, "-1.00"),
        (10.0, "10.00"),
        (-0.001, ".00"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert tables.number(value) == text


def test_tag_escapes_all_but_html() -> None:
    shown = tag("td", "a < b", Html("<b>c</b>"), None, title='"x" & <y>', hidden=False)
    assert shown == '<td title="&quot;x&quot; &amp; &lt;y&gt;">a &lt; b<b>c</b></td>'
    assert join(["<", ["&", Html("<br>")]]) == "&lt;&amp;<br>"


@pytest.mark.parametrize("drawn", [True, False])
def test_no_plane_where_its_terms_were_not_measured(drawn: bool) -> None:
    table = few()
    measured = headline(metrics(table)).filter(drawn | (pl.col("measure") != "preservation"))
    shown = page.render(content(trials=table, metrics=measured))
    assert ("All methods on one plane" in shown) is drawn
