"""The table of what unlearners' defaults do is that of the results."""

from ksmith.unlearn import UNLEARNERS
from tests.benchmarks import defaults


def test_the_page_shows_what_was_measured() -> None:
    lines = defaults.saved()
    assert {line.method for line in lines} == {defaults.CONTROL, *UNLEARNERS}
    assert {line.name for line in lines} == set(defaults.SHOWN)
    assert all(line.low <= line.value <= line.high and line.n > 1 for line in lines)
    page = defaults.PAGE.read_text(encoding="utf-8")
    assert f"{defaults.BEGIN}{defaults.table(lines)}\n{defaults.END}" in page


def test_a_cell_has_value_interval_and_count() -> None:
    line = defaults.Line(
        method="npo", name=defaults.OTHER, seed=1, value=1, low=0.5, high=1, n=90
    )
    assert "| npo | - | - | 1.00 [.50, 1.00] 90 | - | - | - |" in defaults.table([line])
