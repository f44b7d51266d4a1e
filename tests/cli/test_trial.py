"""What `ksmith trial show` says of metrics: sets of facts by name, and how much was known."""

from typing import Any

from ksmith.cli.trial import knew, metric_lines


def row(name: str, value: float, n: int, step: int = 1) -> dict[str, Any]:
    probe, measure, *slices = name.split(".", 2)
    at: dict[str, Any] = {"step": step, "probe": probe, "measure": measure, "hop": None}
    return at | {"slice": "".join(slices), "value": value, "n": n, "low": None, "high": None}


ROWS = [
    row("efficacy.residual", 1, 40, 0),
    row("efficacy.residual.known", 1, 28, 0),
    row("efficacy.residual", 0.5, 40),
    row("efficacy.residual.known", 0.4, 28),
    row("memory.probability.forget", 0.9, 40, 0),
    row("memory.probability.forget", 0.1, 40),
    row("memory.probability.forget.seen", 0.2, 40),
    row("memory.probability.retain.near", 0.7, 20),
    row("memory.known.forget", 0.7, 40, 0),
]


def test_metrics_of_sets_are_shown_by_the_set() -> None:
    shown = [line.split() for line in metric_lines(ROWS)]
    assert shown == [
        ["efficacy.residual", "1.000", "0.500", "n", "40"],
        ["memory.probability.forget", "0.900", "0.100", "n", "40"],
        ["memory.probability.retain.near", "0.700", "n", "20"],
    ]


def test_how_much_was_known_is_counted() -> None:
    assert knew(ROWS).startswith("the model knew 28 of the 40 facts before the update")
    nothing = [r for r in ROWS if "known" not in r["slice"]]
    assert knew(nothing).startswith("the model knew 0 of the 40 facts")
    assert knew([r for r in ROWS if r["probe"] == "memory"]) == ""  # nobody asked
