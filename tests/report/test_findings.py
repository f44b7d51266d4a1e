"""The table of findings in a report: text is data, and a study without any has no section."""

import polars as pl

from ksmith.frames.findings import SCHEMA
from ksmith.report.findings import findings
from tests.report.made_up import content

ROW = {
    "says": "<b>editing</b> spreads further",
    "paper": "KnowledgeSmith, finding 1",
    "measure": "spread.ccr",
    "more": 'task.kind = "edit"',
    "less": 'task.kind = "unlearn"',
    "value": 0.31,
    "low": 0.2,
    "high": 0.42,
    "margin": 0.05,
    "n": 60,
    "cells": 3,
    "model_seeds": 1,
    "verdict": "holds",
}


def test_each_finding_has_its_verdict_and_its_numbers() -> None:
    html = findings(content(findings=pl.DataFrame([ROW], schema=SCHEMA)))
    assert html is not None
    assert "&lt;b&gt;editing&lt;/b&gt; spreads further" in html
    for text in ('id="findings"', "[.20, .42]", "n 60", "margin .05", 'class="good">holds'):
        assert text in html


def test_what_was_not_measured_has_no_number() -> None:
    bare = ROW | {
        "value": None,
        "low": None,
        "high": None,
        "n": None,
        "verdict": "not measured",
    }
    html = findings(content(findings=pl.DataFrame([bare], schema=SCHEMA)))
    assert html is not None
    assert "not measured" in html


def test_a_study_without_findings_has_no_section() -> None:
    assert findings(content()) is None
