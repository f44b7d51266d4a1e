"""Settings that trials leave out at their default: what they have, so that pages can say it."""

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from ksmith import settings
from ksmith.frames import columns
from ksmith.settings.names import MODELS


def filled(trials: pl.DataFrame) -> pl.DataFrame:
    """Return trials whose settings have their default where keys leave it out.

    Only in columns that there are: a setting that no trial of a study gives varies nowhere. A
    trial of another method, source or kind of model has no such setting, and stays null.
    """
    owners = settings.names(settings.METHODS).owners
    rows = trials.to_dicts()
    for name in trials.columns:
        left_out = {
            owner: list(item.default) if isinstance(item.default, tuple) else item.default
            for owner, item in owners.get(name, {}).items()
            if item.omit_at_default and item.default is not None
        }
        if not left_out or not trials[name].null_count():
            continue
        values = [
            left_out.get(_owner(name, row)) if row[name] is None else row[name] for row in rows
        ]
        # Typed anew: a column of whole numbers can have a default that is none.
        found = columns.settings([json.dumps({name: value}) for value in values])
        trials = trials.with_columns(found[name])
    return trials


def _owner(name: str, row: Mapping[str, Any]) -> str:
    """Return who has the setting in this trial; see `settings.Names`."""
    section = name.partition(".")[0]
    if section == "graph":
        return str(row.get("graph.source"))
    if section == "model":
        return next((way for way in MODELS if row.get(f"model.{way}") is not None), "")
    return str(row["method"]) if section == "method" else section
