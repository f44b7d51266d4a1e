"""Which cells a figure or a table shows: a panel a probe, a row a level."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Panel:
    """One column of small multiples: which rows it shows and between which bounds."""

    title: str
    probe: str
    measure: str = ""
    slice: str = ""
    hop: int | None = None
    unit: bool = True  # a rate between 0 and 1


def select(cells: pl.DataFrame, panel: Panel) -> pl.DataFrame:
    """Return the rows of `cells` that `panel` shows."""
    hop = pl.col("hop").is_null() if panel.hop is None else pl.col("hop") == panel.hop
    return cells.filter(
        (pl.col("probe") == panel.probe)
        & (pl.col("measure") == panel.measure)
        & (pl.col("slice") == panel.slice)
        & hop
    )


def present(cells: pl.DataFrame, panels: Iterable[Panel]) -> list[Panel]:
    """Return the panels of which `cells` has rows."""
    return [panel for panel in panels if select(cells, panel).height]


def order(levels: pl.Series) -> list[str]:
    """Return the levels there are, from the root down."""
    known = ["root", "intermediate", "leaf", "any"]
    present = set(levels.to_list())
    return [name for name in known if name in present] + sorted(present - set(known))
