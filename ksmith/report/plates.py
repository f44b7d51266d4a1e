"""What the report says of an asset: its numbers, and the pictures that it carries."""

from typing import Any

from ksmith.report import tables
from ksmith.report.content import Asset
from ksmith.report.html import Html, data_uri, tag


def plate(asset: Asset) -> Html:
    """Return the section of one asset."""
    images = [
        tag(
            "figure",
            tag("img", src=data_uri(item.content, item.suffix), alt=item.title, loading="lazy"),
            tag("figcaption", item.title),
        )
        for item in asset.pictures
    ]
    return tag(
        "section",
        tag("h3", f"{asset.kind.capitalize()} ", tag("code", asset.key)),
        _facts(asset.facts),
        _metrics(asset.metrics),
        tag("div", images, class_="plates") if images else None,
    )


def _facts(facts: dict[str, Any]) -> Html | None:
    flat = {
        name: value for name, value in facts.items() if isinstance(value, str | int | float)
    }
    if not flat:
        return None
    return tag(
        "dl",
        [[tag("dt", name.replace("_", " ")), tag("dd", _text(flat[name]))] for name in flat],
    )


def _text(value: str | int | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _metrics(metrics: tuple[dict[str, Any], ...]) -> Html | None:
    if not metrics:
        return None
    rows = [
        tag(
            "tr",
            tag("td", ".".join(part for part in (row["probe"], row["measure"]) if part)),
            tag("td", row.get("slice") or ""),
            tag("td", *tables.estimate(row), class_="n"),
        )
        for row in metrics
    ]
    head = tag("tr", tag("th", "measure"), tag("th", "of"), tag("th", "value", class_="n"))
    return tag("table", tag("thead", head), tag("tbody", rows))
