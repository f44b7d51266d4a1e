"""What a report shows, gathered from a lab or made up by a test; no HTML here."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure that an asset carries."""

    title: str
    content: bytes
    suffix: str = ".png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A graph or a model that the study's trials were made with."""

    kind: str
    key: str
    facts: dict[str, Any] = field(default_factory=dict)  # what its outcome says of it
    metrics: tuple[dict[str, Any], ...] = ()  # rows of records.Metric
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A trial, or an asset that trials wait for, that did not end well."""

    key: str
    state: str
    reason: str
    attempts: int = 0
    error: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One study as the report sees it."""

    study: str
    question: str
    text: str  # the study file as it was stored
    trials: pl.DataFrame  # ksmith.trials
    metrics: pl.DataFrame  # ksmith.metrics
    home: str = ""
    methods: tuple[str, ...] = ()  # all that ksmith has, in order: they give the colours
    seconds: dict[str, float] = field(default_factory=dict)  # trial -> seconds of its update
    answers: dict[str, Path] = field(default_factory=dict)  # trial -> its answers.parquet
    assets: tuple[Asset, ...] = ()
    failures: tuple[Failure, ...] = ()
    runs: dict[str, str] = field(default_factory=dict)  # trial -> address of its MLflow run
    provenance: dict[str, str] = field(default_factory=dict)
    findings: pl.DataFrame = field(default_factory=pl.DataFrame)  # ksmith.findings
