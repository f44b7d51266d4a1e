"""Metrics against numbers worked out by hand."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.measures import MEASURES, SLICES, metrics, with_trained
from ksmith.measures.bootstrap import unseen_share
from ksmith.measures.means import means
from tests.measures.rows import Trial, rate


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


# --- conditions -------------------------------------------------------------------------------


def conditioned() -> Trial:
    """Return three requests: the first was known, of the third nobody asked."""
    trial = Trial()
    for i in range(3):
        question = trial.ask("efficacy", ["new", "old"], request=f"0.{i}")
        for step in (0, 1):
            trial.answer(step, question, {"new": (-1 if i == 0 else -3, 1), "old": (-2, 1)})
    for i, rights in enumerate([("old", "old"), ("old", "")]):
        for right in rights:
            more = {"request": f"0.{i}", "right": "old", "rival": None}
            trial.add("known", {"old": (-1, 1)}, step=0, best=right, **more)
    return trial


def test_known_by_other_wordings_before_the_update() -> None:
    found = conditioned().metrics()
    assert (found[1, "efficacy.success"].value, found[1, "efficacy.success"].n) == (1 / 3, 3)
    known = found[1, "efficacy.success.known"]
    assert (known.value, known.n) == (1, 1)  # both wordings must be right
    accuracy = found[0, "known.accuracy"]
    assert (accuracy.value, accuracy.n) == (0.75, 2)


def test_answers_after_the_update_change_nothing_about_known() -> None:
    trial = conditioned()
    before = trial.rows(0)["known"].to_list()
    for question in trial.questions:
        if question.probe == "known":
            trial.answer(1, question.id, {"old": (-9, 1)}, best="")
    rows = trial.rows()
    assert rows.filter(pl.col("step") == 1)["known"].to_list() == before
    assert {m.name for m in metrics(rows, 0) if m.step == 1 and m.probe == "known"} == set()


def test_each_fact_is_known_by_itself() -> None:
    trial = Trial()
    for fact, best in (("near", "true"), ("far", "")):
        more = {"right": "true", "before": "true", "set": "neighbour", "fact": fact}
        trial.add("neighborhood", {"true": (-1, 1), "old": (-2, 1)}, step=0, **more)
        trial.add("known", {"true": (-1, 1)}, step=0, best=best, rival=None, **more)
    rows = trial.rows(0).filter(pl.col("probe") == "neighborhood")
    assert dict(rows.select("fact", "known").iter_rows()) == {"near": True, "far": False}


def test_a_new_consequence_is_known_as_its_request_is() -> None:
    trial = Trial()
    more = {"set": "entailed", "fact": "new / inverse", "before": None}
    trial.add("reverse", {"new": (-1, 1), "old": (-2, 1)}, step=0, **more)
    trial.add("known", {"old": (-1, 1)}, step=0, best="old", right="old", rival=None)
    assert trial.rows(0).filter(pl.col("probe") == "reverse")["known"].to_list() == [True]


def test_slices_and_hops() -> None:
    trial = Trial()
    for hop, stored, success in ((1, True, 1), (1, False, 0), (2, False, 0), (2, False, 1)):
        said = {"new": (-1, 1), "old": (-2 if success else 0, 1)}
        more: dict[str, Any] = {
            "set": "entailed",
            "hop": hop,
            "stored": stored,
            "fact": f"{hop} {stored}",
        }
        trial.add("multi_hop", said, **more)
    found = trial.metrics(1)
    names = ("", ".hop1", ".hop2", ".stored", ".derived", ".derived.hop1", ".derived.hop2")
    values = [found[1, f"multi_hop.success{name}"].value for name in names]
    assert values == [0.5, 0.5, 0.5, 1, pytest.approx(1 / 3), 0, 0.5]
    assert found[1, "multi_hop.success.derived.hop2"].hop == 2
    assert (1, "multi_hop.success.stored.hop2") not in found


def test_what_a_method_trained_on_to_keep_is_a_slice_of_its_own() -> None:
    """And in no other; which facts were known is asked of all of them."""
    trial = Trial()
    for number, fact in enumerate(("trained on", "only asked", "only asked, too")):
        more: dict[str, Any] = {
            "set": "neighbour",
            "right": "old",
            "rival": "new",
            "fact": fact,
        }
        more["request"] = f"0.{number % 2}"
        trial.add("known", {"old": (-1, 1), "new": (-2, 1)}, step=0, best="old", **more)
        near = trial.ask("same_subject", ["old", "new"], **more)
        for step in (0, 1):
            right = step == 0 or fact == "trained on"
            trial.answer(step, near, {"old": (-1 if right else -3, 1), "new": (-2, 1)})
    rows = with_trained(trial.rows(), [(0, "trained on"), (1, "only asked")])
    assert rows.filter("trained")["fact"].unique().to_list() == ["trained on"]
    assert rows["known"].to_list() == trial.rows()["known"].to_list()
    found = {(m.step, m.name): (m.value, m.n) for m in metrics(rows, 0)}
    for slice_, before, after in (("", (1, 2), (0, 2)), (".trained", (1, 1), (1, 1))):
        name = f"same_subject.success{slice_}"
        assert (found[0, name], found[1, name]) == (before, after)
    assert found[1, "same_subject.success.known"] == (0, 2) and found[0, "known.accuracy"] == (
        1,
        3,
    )
    assert found[1, "spread.choice"] == (0, 2)


def test_wordings_are_told_apart() -> None:
    trial = Trial()
    for wording, old in (("unseen", -2), ("novel", -0.5)):
        trial.add("paraphrase", {"new": (-1, 1), "old": (old, 1)}, wording=wording)
    found = trial.metrics(1)
    assert found[1, "paraphrase.success.unseen"].value == 1
    assert found[1, "paraphrase.success.novel"].value == 0


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


# --- intervals and shape ----------------------------------------------------------------------

units = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 3)).map("{0[0]}.{0[1]}".format),
    st.lists(st.booleans(), min_size=1, max_size=3),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(values=units)
def test_intervals_hold_the_mean_of_facts(values: dict[str, list[float]]) -> None:
    found = rate(values).metrics(1)[1, "efficacy.success"]
    means = [sum(v) / len(v) for v in values.values()]
    assert found.value == pytest.approx(sum(means) / len(means))
    assert found.n == len(values)
    if len(values) < 2:
        assert found.low is None
        assert found.high is None
    else:
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.low < found.high  # no number of facts makes one certain


@settings(max_examples=10, deadline=None)
@given(values=units, seed=st.integers(0, 99))
def test_neither_order_nor_copies_of_questions_matter(
    values: dict[str, list[float]], seed: int
) -> None:
    rows = rate(values).rows(1)
    found = metrics(rows, 0)
    assert metrics(rows.sample(fraction=1, shuffle=True, seed=seed), 0) == found
    twice = pl.concat([rows, rows.with_columns(question=pl.col("question") + "/again")])
    assert metrics(twice, 0) == found


def test_seed_decides_the_interval_alone() -> None:
    trial = Trial()
    for draw in range(20):
        trial.add("efficacy", {"new": (-1 - draw, 1), "old": (-2, 1)}, request=f"{draw}.0")
    rows = trial.rows(1)
    same, other = metrics(rows, 0), metrics(rows, 1)
    assert same == metrics(rows, 0)
    assert [m.value for m in same] == [m.value for m in other]
    assert [m.low for m in same] != [m.low for m in other]


def test_draws_that_differ_widen_the_interval() -> None:
    together = {f"{d}.{n}": [float(d < 2)] for d in range(4) for n in range(10)}
    mixed = {f"{d}.{n}": [float(n < 5)] for d in range(4) for n in range(10)}

    def width(values: dict[str, list[float]]) -> float:
        metric = rate(values).metrics(1)[1, "efficacy.success"]
        assert metric.low is not None
        assert metric.high is not None
        return metric.high - metric.low

    assert width(together) > 1.5 * width(mixed)


def test_one_answer_for_all_is_not_certain() -> None:
    found = rate({f"{d}.0": [1] for d in range(20)}).metrics(1)[1, "efficacy.success"]
    assert found.low == pytest.approx(0.025 ** (1 / 20))  # exact binomial limit
    assert found.high == 1


def test_one_answer_for_all_is_counted_in_draws() -> None:
    values = {f"{d}.{n}": [1.0] for d in range(4) for n in range(10)}
    found = rate(values).metrics(1)[1, "efficacy.success"]
    assert found.n == 40
    assert found.low == pytest.approx(0.025 ** (1 / 4))
    assert found.high == 1


def test_one_draw_is_counted_in_subjects() -> None:
    found = rate({f"0.{n}": [1] for n in range(10)}).metrics(1)[1, "efficacy.success"]
    assert found.low == pytest.approx(0.025 ** (1 / 10))


@pytest.mark.parametrize("spread", [0.05, 0.3, 1.0])
def test_intervals_of_rates_cover_where_draws_differ(spread: float) -> None:
    """4 draws of 10 facts, whose own rates are beta-distributed around .8; 500 such trials."""
    generator = np.random.default_rng(0)
    draws, facts, trials, mean = 4, 10, 500, 0.8
    weight = 1 / spread - 1 + 1e-9  # spread: the correlation of facts in one draw
    rates = generator.beta(mean * weight, (1 - mean) * weight, size=(trials, draws, 1))
    values = (generator.random((trials, draws, facts)) < rates).astype(np.float64)
    trial, draw, fact = (axis.ravel() for axis in np.indices(values.shape))
    table = pl.DataFrame({"hop": trial, "draw": draw, "unit": fact, "value": values.ravel()})
    table = table.with_columns(
        step=pl.lit(1), probe=pl.lit(""), measure=pl.lit(""), slice=pl.lit(""), cluster="unit"
    )
    _, found = means(table, 0)
    low, high = (np.array(end) for end in found.interval(np.zeros(trials), np.ones(trials)))
    assert ((low <= mean) & (mean <= high)).mean() >= 0.9
    if spread == 1.0:
        # Taken for 40 independent facts, a trial without a failure would leave .8 out.
        facts_alone = 1 - unseen_share(np.array([float(draws * facts)]))
        missed = found.constant & (found.value == 1) & (facts_alone > mean)
        assert missed.mean() > 0.3


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


def four(right: float, *others: float) -> dict[str, tuple[float, int]]:
    """Return what is said to four options, the right one in third place; "far" is no option."""
    said = {"old": others[0], "a": others[1], "new": right, "b": others[2], "far": 0.0}
    return {name: (logp, 1) for name, logp in said.items()}


def test_multiple_choice_by_hand() -> None:
    trial = Trial()
    for request, said in (
        ("0.0", four(-1, -2, -3, -4)),
        ("0.1", four(-2, -2, -3, -4)),  # level with the old one: a failure
        ("0.2", four(-2, -5, -1, -4)),
        ("0.3", four(-1, -2, -2, -2) | {"b": (-3.0, 4)}),  # per token b is above
    ):
        trial.add("direct", said, request=request, options=(0, 1, 2, 3))
    found = trial.metrics(1)
    assert found[1, "direct.multiple_choice"].value == 0.25
    assert found[1, "direct.multiple_choice_corrected"].value == pytest.approx(0)
    assert found[1, "direct.multiple_choice"].n == 4
    low, high = (getattr(found[1, "direct.multiple_choice"], end) for end in ("low", "high"))
    corrected = found[1, "direct.multiple_choice_corrected"]
    assert (corrected.low, corrected.high) == (
        pytest.approx((low - 0.25) / 0.75),
        pytest.approx((high - 0.25) / 0.75),
    )


def test_multiple_choice_counts_what_got_no_answer_as_wrong() -> None:
    trial = Trial()
    trial.add("direct", four(-1, -2, -3, -4), request="0.0", options=(0, 1, 2, 3))
    trial.ask("direct", list(four(0, 0, 0, 0)), request="0.1", options=(0, 1, 2, 3))
    found = trial.metrics(1)
    assert found[1, "direct.multiple_choice"].value == 0.5
    assert found[1, "direct.multiple_choice_corrected"].value == pytest.approx((1 - 1 / 3) / 2)


@pytest.mark.parametrize("more", [{}, {"options": (0, 1, 3), "right": None}])
def test_no_choice_where_the_right_answer_is_not_offered(more: dict[str, Any]) -> None:
    trial = Trial()
    trial.add("direct", four(-1, -2, -3, -4), **more)
    assert not [name for _, name in trial.metrics(1) if "multiple_choice" in name]


def test_choices_are_sliced_by_wording_context_and_what_letters_ask() -> None:
    trial = Trial()
    right, wrong = four(-1, -2, -3, -4), four(-5, -2, -3, -4)
    options: dict[str, Any] = {"options": (0, 1, 2, 3)}
    trial.add("conflict", right, context="new", wording="novel", **options)
    trial.add("conflict", wrong, context="old", wording="seen", **options)
    letters = trial.ask("direct", list(right), **options)
    trial.answer(1, letters, right)
    asked = trial.questions[-1]
    trial.questions.append(asked._replace(id=f"{asked.id}/letters", probe="letters"))
    trial.answer(1, trial.questions[-1].id, wrong)
    found = {name: metric.value for (_, name), metric in trial.metrics(1).items()}
    assert found["conflict.multiple_choice"] == 0.5
    assert found["conflict.multiple_choice.old_context"] == 0
    assert found["conflict.multiple_choice.new_context"] == 1
    assert found["conflict.multiple_choice.novel"] == 1
    assert found["direct.multiple_choice"] == 1
    assert found["letters.multiple_choice.direct"] == found["letters.multiple_choice"] == 0
    assert "letters.multiple_choice.conflict" not in found


def test_a_statement_is_compared_and_never_written() -> None:
    trial = Trial()
    trial.add("comparison", four(-1, -2, -3, -4), prompt="", options=(0, 1, 2, 3))
    trial.add("comparison", four(-1, -2, -3, -4), text="new", best="new")
    found = {name: metric for (_, name), metric in trial.metrics(1).items()}
    assert found["comparison.success"].value == 1
    assert found["comparison.generated"].value == found["comparison.accuracy"].value == 1
