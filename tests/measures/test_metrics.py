"""Metrics against numbers worked out by hand."""

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ksmith.measures import MEASURES, SLICES, metrics
from tests.measures.rows import Trial, rate
from tests.measures.test_metric_conditions import conditioned


def counterfact() -> Trial:
    """Return two records: ES .5, PS .75, NS .875."""
    trial = Trial()
    # One token at -1 against two of together -1.6: worse per token, better as a whole.
    trial.add("efficacy", {"new": (-1, 1), "old": (-1.6, 2)}, request="0.0")
    trial.add("efficacy", {"new": (-0.5, 1), "old": (-2, 1)}, request="0.1")
    for request, old in (("0.0", -2), ("0.0", -1), ("0.1", -3), ("0.1", -4)):
        trial.add("paraphrase", {"new": (-1, 1), "old": (old, 1)}, request=request)  # one tie
    for request, true in (("0.0", -9), *[("0.0", -1)] * 3, ("0.1", -1), ("0.1", -2)):
        trial.add(
            "neighborhood",
            {"true": (true, 1), "new": (-3, 1)},
            request=request,
            right="true",
            before="true",
            rival="new",
            set="neighbour",
        )
    return trial


def test_counterfact_by_hand() -> None:
    found = counterfact().metrics(1)
    assert found[1, "efficacy.success"].value == 0.5
    assert found[1, "efficacy.success_joint"].value == 1.0
    assert found[1, "paraphrase.success"].value == 0.75  # the tie is a failure
    # Within a record first: (3/4 + 2/2) / 2, not 5/6.
    assert found[1, "neighborhood.success"].value == 0.875
    em = (math.exp(-1) - math.exp(-0.8) + math.exp(-0.5) - math.exp(-2)) / 2
    assert found[1, "efficacy.magnitude"].value == pytest.approx(em, abs=1e-7)
    score = 3 / (1 / 0.5 + 1 / 0.75 + 1 / 0.875)
    assert found[1, "counterfact.score"].value == pytest.approx(score)
    assert {found[1, name].n for name in ("efficacy.success", "counterfact.score")} == {2}


def test_score_is_zero_where_a_part_is_zero() -> None:
    trial = Trial()
    for probe in ("efficacy", "paraphrase", "neighborhood"):
        old = -1 if probe == "efficacy" else -3
        trial.add(probe, {"new": (-2, 1), "old": (old, 1)})
    assert trial.metrics(1)[1, "counterfact.score"].value == 0


def test_score_needs_all_its_parts() -> None:
    assert not [name for _, name in rate({"0.0": [1]}).metrics(1) if "counterfact" in name]


def test_old_answer_among_its_type() -> None:
    said = {"new": (-1, 1), "old": (-4, 2), "a": (-2, 1), "b": (-3, 1), "far": (-0.1, 1)}
    trial = Trial()
    trial.add("efficacy", said, of_type=(0, 1, 2, 3))  # "far" is of another type
    found = trial.metrics(1)
    # -2 a token: new is above, a is level, b below; the old one itself does not count.
    assert found[1, "efficacy.old_rank"].value == pytest.approx((1 + 0.5) / 3)
    assert found[1, "efficacy.residual"].value == 0
    assert found[1, "efficacy.choice"].value == 1
    assert found[1, "efficacy.chance"].value == 0.25


@pytest.mark.parametrize(("old", "rank", "residual"), [(-0.5, 0, 1), (-1, 0.25, 1), (-9, 1, 0)])
def test_old_rank_from_first_to_last(old: float, rank: float, residual: float) -> None:
    trial = Trial()
    said = {"new": (-1, 1), "old": (old, 1), "a": (-2, 1)}
    trial.add("efficacy", said, of_type=(0, 1, 2))
    found = trial.metrics(1)
    assert found[1, "efficacy.old_rank"].value == rank
    assert (
        found[1, "efficacy.residual"].value == residual
    )  # level with the first is still there


@pytest.mark.parametrize("p", [(0.25, 0.25, 0.25, 0.25), (0.9, 0.05, 0.03, 0.02), (1, 0, 0, 0)])
def test_evenness_is_the_entropy_among_the_type(p: tuple[float, ...]) -> None:
    """Of whole answers, whatever else is likely and however many tokens they have."""
    trial = Trial()
    names, tokens = ("old", "a", "b", "c"), (1, 2, 3, 1)
    log = [math.log(0.5 * x) if x else -900.0 for x in p]
    said = {name: (x, n) for name, x, n in zip(names, log, tokens, strict=True)}
    trial.add(
        "efficacy", {"new": (-0.7, 1), **said}, right=None, rival=None, of_type=(1, 2, 3, 4)
    )
    found = trial.metrics(1)[1, "efficacy.evenness"]
    entropy = -sum(x * math.log(x) for x in p if x)
    assert found.value == pytest.approx(entropy / math.log(4), abs=1e-6)
    assert found.n == 1


def test_under_a_uniform_target_no_answer_is_right() -> None:
    trial = Trial()
    for i in range(4):
        said = {"old": (-3 - i, 1), "a": (-1, 1), "b": (-2, 1)}
        more: dict[str, Any] = {"right": None, "rival": None, "of_type": (0, 1, 2)}
        trial.add("efficacy", said, request=f"{i}.0", text="a", **more)
    found = trial.metrics(1)
    names = {name for _, name in found}
    assert not {f"efficacy.{m}" for m in ("success", "accuracy", "generated", "choice")} & names
    for name in ("evenness", "old_rank", "residual", "residual_generated"):
        metric = found[1, f"efficacy.{name}"]
        assert metric.n == 4 and metric.low is not None and metric.low <= metric.value
    assert found[1, "efficacy.old_rank"].value == 1.0
    assert found[1, "objective.task.target"].value == pytest.approx(
        2.5
    )  # -log p, mean of three


def test_unlearned_consequence_has_only_an_old_answer() -> None:
    trial = Trial()
    said = {"old": (-1, 1), "a": (-2, 1)}
    trial.add("multi_hop", said, right=None, of_type=(0, 1), hop=1, stored=True, text="old")
    names = {name for _, name in trial.metrics(1)}
    assert (
        not {f"multi_hop.{m}" for m in ("success", "accuracy", "generated", "choice")} & names
    )
    assert {"multi_hop.residual", "multi_hop.residual_generated.stored.hop1"} <= names


@pytest.mark.parametrize(
    ("text", "generated"),
    [
        ("New York .", 1),
        ("new  york", 1),
        (" New York.", 1),
        ("New York City", 0),
        ("Newark", 0),
        ("", 0),
    ],
)
def test_generated_is_compared_as_text(text: str, generated: float) -> None:
    trial = Trial()
    said = {"New York": (-1, 2), "old": (-2, 1)}
    trial.add("efficacy", said, right="New York", text=text)
    assert trial.metrics(1)[1, "efficacy.generated"].value == generated


def test_generated_sees_through_a_decoder_that_splits_punctuation() -> None:
    trial = Trial()
    said = {"St. John's": (-1, 2), "old": (-2, 1)}
    trial.add("efficacy", said, right="St. John's", text="st . john ' s .")
    assert trial.metrics(1)[1, "efficacy.generated"].value == 1


def test_nothing_is_generated_where_nobody_asked() -> None:
    assert (1, "efficacy.generated") not in rate({"0.0": [1]}).metrics(1)


def test_accuracy_is_of_the_answer_after() -> None:
    trial = Trial()
    question = trial.ask("efficacy", ["new", "old"])
    for step, best in ((0, "old"), (1, "new")):
        trial.answer(step, question, {"new": (-1, 1), "old": (-2, 1)}, best)
    found = trial.metrics()
    assert [found[step, "efficacy.accuracy"].value for step in (0, 1)] == [0, 1]


def test_kept_compares_with_step_0() -> None:
    trial = Trial()
    for i, (true, text) in enumerate([(-1, "true"), (-5, "true"), (-1, "else")]):
        more = {"request": f"0.{i}", "right": "true", "before": "true", "rival": "new"}
        question = trial.ask("neighborhood", ["true", "new"], set="neighbour", **more)
        trial.answer(0, question, {"true": (-1, 1), "new": (-2, 1)}, text="true")
        trial.answer(1, question, {"true": (true, 1), "new": (-2, 1)}, text=text)
    found = trial.metrics()
    assert found[1, "neighborhood.kept"].value == pytest.approx(2 / 3)
    assert found[1, "neighborhood.kept_generated"].value == pytest.approx(2 / 3)
    assert (0, "neighborhood.kept") not in found


def test_loss_is_nats_per_token() -> None:
    trial = Trial()
    for i, (logp, tokens) in enumerate([(-6.0, 3), (-8.0, 2)]):
        more: dict[str, Any] = {
            "request": "",
            "right": "s",
            "before": "s",
            "rival": None,
            "fact": str(i),
        }
        trial.add("utility", {"s": (logp, tokens)}, set="unrelated", **more)
    loss = trial.metrics(1)[1, "utility.loss"]
    assert (loss.value, loss.n) == (3.0, 2)


# --- what failed ------------------------------------------------------------------------------


def test_unanswered_questions_stay_in_the_denominator() -> None:
    trial = rate({"0.0": [1], "0.1": [1]})
    trial.ask("efficacy", ["new", "old"], request="0.2", of_type=(0, 1))
    nan = {"new": (math.nan, 1), "old": (-1, 1)}
    trial.add("efficacy", nan, request="0.3", best="new", of_type=(0, 1))
    found = trial.metrics(1)
    for measure in ("success", "accuracy"):
        metric = found[1, f"efficacy.{measure}"]
        assert (metric.value, metric.n) == ({"success": 0.5, "accuracy": 0}[measure], 4)
    assert found[1, "efficacy.residual"].value == 1  # not shown to be gone
    assert found[1, "efficacy.magnitude"].n == 2
    assert (found[1, "efficacy.skipped"].value, found[1, "efficacy.skipped"].n) == (2, 4)


def test_impossible_answers_are_level() -> None:
    trial = Trial()
    said = {"new": (-math.inf, 1), "old": (-math.inf, 1)}
    trial.add("efficacy", said, of_type=(0, 1))
    found = trial.metrics(1)
    assert found[1, "efficacy.success"].value == 0
    assert found[1, "efficacy.old_rank"].value == 0.5


# --- shape ------------------------------------------------------------------------------------


def test_rows_survive_parquet(tmp_path: Path) -> None:
    rows = counterfact().rows(1)
    rows.write_parquet(tmp_path / "answers.parquet")
    assert metrics(pl.read_parquet(tmp_path / "answers.parquet"), 0) == metrics(rows, 0)


def test_metrics_come_in_the_order_of_the_tables() -> None:
    found = metrics(conditioned().rows(), 0)
    assert [m.step for m in found] == sorted(m.step for m in found)
    assert len({(m.step, m.name) for m in found}) == len(found)


def test_recalled_is_over_chance_of_the_facts_scored() -> None:
    said = {"new": (-2, 1), "old": (-1, 1), "a": (-3, 1), "b": (-4, 1)}
    more: dict[str, Any] = {"of_type": (0, 1, 2, 3), "stored": False, "hop": 1, "step": 0}
    trial = Trial()
    trial.add("reverse", said, fact="changed", **more)  # held before, scored after
    trial.add("reverse", said, fact="new", before=None, **more)  # nothing to hold
    lost = {"old": (-9, 1), "a": (-1, 1), "b": (-2, 1), "c": (-3, 1)}
    trial.add("reverse", lost, fact="gone", right=None, rival=None, **more)  # not scored
    found = trial.metrics(0)
    assert found[0, "reverse.recalled_scored.derived"].value == 0.75
    assert found[0, "reverse.recalled.derived"].value == (0.75 - 0.25) / 2
    assert found[0, "reverse.scored_before.derived"].value == 0.5


def test_recalled_is_of_the_model_before() -> None:
    trial = Trial()
    question = trial.ask("reverse", ["new", "old"], of_type=(0, 1), stored=False)
    for step in (0, 1):
        trial.answer(step, question, {"new": (-1, 1), "old": (-2, 1)})
    names = {m.name for m in trial.metrics().values() if m.step == 1}
    assert "reverse.residual.derived" in names
    assert not [name for name in names if "recalled" in name or "scored_before" in name]


def test_no_rows_give_no_metrics() -> None:
    assert metrics(Trial().rows(1), 0) == []


def test_tables_are_complete() -> None:
    served = {probe for measure in MEASURES.values() for probe in measure.probes}
    sliced = {probe for _, probes in SLICES.values() for probe in probes}
    assert served == sliced
    assert all(measure.doc.endswith(".") for measure in MEASURES.values())
    assert all(measure.better in {"higher", "lower", "-"} for measure in MEASURES.values())
