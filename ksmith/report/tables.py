"""The report's tables: numbers to the right, each with its interval and its n."""

from collections.abc import Sequence
from math import floor, isfinite, log10
from typing import Any

import polars as pl

from ksmith.report.cells import known
from ksmith.report.html import Child, Html, tag
from ksmith.report.looks import VARIABLES, Look
from ksmith.report.panels import Panel, order, present, select

NONE = "-"
OTHER_SEEDS = {"graph.seed": "graph seed", "model.seed": "model seed"}
NUMBERS = frozenset({"scale", "seconds", "seed", *OTHER_SEEDS.values()})
LEAST = 5e-6  # what is smaller is told as such
CLOSE = 1.01  # below it two decimals could read as 1
MANY = 20  # values of an axis that are listed one by one


def number(value: float | None, places: int = 2) -> str:
    """Return a number as it is printed: `.95`, `1.00`, `-.02`; a dash where there is none.

    >>> number(0.954), number(1.0), number(-0.02), number(1234.56), number(None)
    ('.95', '1.00', '-.02', '1235', '-')
    """
    if value is None:
        return NONE
    # Of thousands no hundredth means anything. z: no minus before zero.
    text = f"{value:z.{0 if abs(value) >= 1000 else places}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def short(value: float | None) -> str:
    """Return a number of any size in about three digits, and of a small one two.

    >>> short(0.713), short(0.00312), short(87.13), short(2343.2), short(0.0), short(2e-7)
    ('.71', '.0031', '87.1', '2340', '.00', '<.00001')
    """
    if value is None or not value or not isfinite(value):
        return number(value)
    size = floor(log10(abs(value)))
    if abs(value) < LEAST:
        return "<.00001"
    if size >= 3:
        return f"{round(value, 2 - size):.0f}" if size < 6 else f"{value:.2e}"
    return number(value, min(max(2, 1 - size) if size < 0 else 2 - size, 5))


def ratio(value: float | None) -> str:
    """Return a distance in margins like `short`, but on the side of 1 where it is.

    >>> ratio(1.0026), ratio(0.9996), ratio(1.0), ratio(857.76), ratio(1 + 1e-12)
    ('1.003', '1.00', '1.00', '858', '>1')
    """
    if value is None or value <= 1 or value >= CLOSE:
        return short(value)
    texts = (number(value, places) for places in range(2, 10))
    return next((text for text in texts if float(text) > 1), ">1")


def plain(names: Sequence[str], rows: Sequence[Sequence[Child]]) -> Html:
    """Return a table of text; columns that are empty in every row are left out."""
    keep = [i for i in range(len(names)) if any(row[i] for row in rows)]
    return tag(
        "table",
        tag("thead", tag("tr", [tag("th", names[i], scope="col") for i in keep])),
        tag("tbody", [tag("tr", [tag("td", row[i]) for i in keep]) for row in rows]),
    )


def axes(trials: pl.DataFrame) -> list[tuple[str, list[str]]]:
    """Return what varies between trials, with its values, a method's settings by its name."""
    found: list[tuple[str, list[str]]] = []
    for name in trials.columns:
        if ("." not in name and name != "seed") or name in {"method.name", "method.version"}:
            continue
        if not name.startswith("method."):
            found += _axis(name, trials[name])
            continue
        for (method,), group in trials.group_by(["method"], maintain_order=True):
            # What all methods share in a frame stands there without a method's name.
            own = f"method.{method}."
            shown = name if name.startswith(own) else name.replace("method.", own, 1)
            found += _axis(shown, group[name])
    return found


def _axis(name: str, values: pl.Series) -> list[tuple[str, list[str]]]:
    distinct = values.drop_nulls().unique(maintain_order=True).to_list()
    if len(distinct) < 2:
        return []
    texts = [str(value) for value in distinct]
    if len(texts) > MANY:
        texts = [*texts[: MANY - 1], f"and {len(texts) - MANY + 1} more"]
    return [(name, texts)]


def methods(
    cells: pl.DataFrame,
    panels: Sequence[Panel],
    styles: dict[str, Look],
    costs: pl.DataFrame,
    how: str = "at once",
) -> Html:
    """Return the method table: a group of rows a level and scale, two rows a method.

    `how` says in what way the facts of a scale were written.
    """
    shown = present(cells, panels)
    head = tag(
        "tr",
        tag("th", "method", scope="col"),
        tag("th", "facts", scope="col"),
        [tag("th", panel.title, class_="n", scope="col") for panel in shown],
        tag("th", "Seconds", class_="n", scope="col"),
    )
    groups = [
        _group(cells, shown, styles, costs, (level, scale, how))
        for level in order(cells["level"])
        for scale in cells.filter(pl.col("level") == level)["scale"].unique().sort()
    ]
    return tag("table", tag("thead", head), groups)


def differences(
    found: pl.DataFrame,
    cells: pl.DataFrame,
    panels: Sequence[Panel],
    styles: dict[str, Look],
    how: str = "at once",
) -> Html:
    """Return paired differences: a group of rows a level and scale, a row a method.

    What `cells` does not show of a method is not shown here.
    """
    shown = present(found, panels)
    head = tag(
        "tr",
        tag("th", "method", scope="col"),
        [tag("th", panel.title, class_="n", scope="col") for panel in shown],
    )
    groups: list[Html] = []
    for level in order(found["level"]):
        for scale in found.filter(level=level)["scale"].unique().sort():
            here = {"level": level, "scale": scale}
            rows = [
                tag(
                    "tr",
                    tag("th", _key(look), name, scope="row"),
                    [
                        _difference(mine, cells.filter(series=name, **here), panel)
                        for panel in shown
                    ],
                )
                for name, look in styles.items()
                if (mine := found.filter(series=name, **here)).height
            ]
            name = _title(level, scale, how)
            title = tag("th", name, colspan=len(shown) + 1, scope="colgroup")
            groups.append(tag("tbody", tag("tr", title), rows, class_="group"))
    return tag("table", tag("thead", head), groups)


def _difference(found: pl.DataFrame, cells: pl.DataFrame, panel: Panel) -> Html:
    rows = select(found, panel)
    if rows.is_empty() or select(cells, panel).filter(pl.col("step") > 0).is_empty():
        return tag("td", NONE, class_="n")
    row = rows.row(0, named=True)
    differs = row["low"] is not None and not row["low"] <= 0 <= row["high"]
    return tag("td", *estimate(row, signed=True), class_="n differs" if differs else "n")


def _title(level: str, scale: int, how: str) -> str:
    return f"{level}, {scale} fact{'s' if scale > 1 else ''} {how}"


def _key(look: Look) -> Html:
    return tag("span", class_="key", style=f"background: var({VARIABLES[look.colour]})")


def _group(
    cells: pl.DataFrame,
    panels: Sequence[Panel],
    styles: dict[str, Look],
    costs: pl.DataFrame,
    place: tuple[str, int, str],
) -> Html:
    level, scale, how = place
    where = (pl.col("level") == level) & (pl.col("scale") == scale)
    here, cost = cells.filter(where), costs.filter(where)
    rows: list[Html] = [
        tag(
            "tr",
            tag("th", _title(level, scale, how), colspan=len(panels) + 3, scope="colgroup"),
        )
    ]
    for name, look in styles.items():
        mine = here.filter(pl.col("series") == name)
        if mine.height:
            spent = cost.filter(pl.col("series") == name)["seconds"].to_list()
            rows += _method(name, look, mine, panels, spent[0] if spent else None)
    return tag("tbody", rows, class_="group")


def _method(
    name: str, look: Look, cells: pl.DataFrame, panels: Sequence[Panel], spent: float | None
) -> list[Html]:
    all_facts = tag(
        "tr",
        tag("th", _key(look), name, scope="row", rowspan=2),
        tag("td", "all"),
        [_cell(cells, panel) for panel in panels],
        tag("td", number(spent, 1), class_="n", rowspan=2),
        class_="all",
    )
    of_known = [known(panel) for panel in panels]
    return [
        all_facts,
        tag(
            "tr",
            tag("td", "known"),
            [_cell(cells, panel) for panel in of_known],
            class_="known",
        ),
    ]


def _cell(cells: pl.DataFrame, panel: Panel | None) -> Html:
    if panel is None:
        return tag("td", class_="n")
    rows = select(cells, panel).filter(pl.col("step") > 0)
    if not rows.height:
        return tag("td", NONE, class_="n")
    return tag("td", *estimate(rows.row(0, named=True)), class_="n")


def estimate(row: dict[str, Any], *, signed: bool = False, places: int = 2) -> list[Child]:
    """Return value, interval and n of one row, as the inside of a cell."""
    value = number(row["value"], places)
    plus = "+" if signed and row["value"] > 0 and value.strip(".0") else ""
    interval = (
        f"[{number(row['low'], places)}, {number(row['high'], places)}]"
        if row.get("low") is not None
        else None
    )
    return [f"{plus}{value}", tag("small", interval, f" n {row['n']}")]


def trials(frame: pl.DataFrame, runs: dict[str, str]) -> Html:
    """Return one row a trial, with a link to its MLflow run where it has one."""
    names = [
        "trial",
        "state",
        "method",
        "task.level",
        "task.scale",
        "seed",
        *(name for name in OTHER_SEEDS if name in frame.columns and frame[name].n_unique() > 1),
        "seconds",
        "run_id",
    ]
    names = [name for name in names if name in frame.columns]
    rows: list[Html] = []
    for row in frame.iter_rows(named=True):
        cells = [_trial_cell(name, row, runs) for name in names]
        rows.append(tag("tr", cells))
    titles = [
        OTHER_SEEDS.get(name, name.rpartition(".")[2].replace("run_id", "MLflow run"))
        for name in names
    ]
    head = [
        tag(
            "th",
            title,
            class_="n" if title in NUMBERS else None,
            scope="col",
        )
        for title in titles
    ]
    return tag("table", tag("thead", tag("tr", head)), tag("tbody", rows))


def _trial_cell(name: str, row: dict[str, Any], runs: dict[str, str]) -> Html:
    value = row[name]
    if name == "trial":
        return tag("td", tag("code", value))
    if name == "run_id":
        address = runs.get(row["trial"])
        text = tag("code", str(value)[:8]) if value else NONE
        return tag("td", tag("a", text, href=address) if address and value else text)
    if isinstance(value, float):
        return tag("td", number(value, 1), class_="n")
    return tag(
        "td",
        NONE if value is None else str(value),
        class_="n" if isinstance(value, int) else None,
    )
