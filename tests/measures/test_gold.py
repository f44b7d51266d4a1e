"""Distances to gold models, against textbook versions and cases that are plain by hand."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.measures import frame, gold, gold_layers, gold_metrics, with_trained
from ksmith.measures.bootstrap import (
    REPLICATES,
    percentiles,
    replicates,
    stretch,
    unseen_share,
)
from ksmith.measures.gold import Pair, View
from ksmith.measures.gold_resampled import Resampled
from ksmith.records import Answer, Metric, Question

Floats = gold.Floats
# Half of the least number there is would be none at all.
SHARES = st.floats(0, 1, allow_subnormal=False)


def log(*rows: Sequence[float]) -> Floats:
    with np.errstate(divide="ignore"):
        return np.log(np.array(rows, dtype=np.float64))


def textbook(p: Sequence[float], q: Sequence[float]) -> float:
    """Return the Jensen-Shannon divergence in bits, term by term."""

    def kl(a: Sequence[float], b: Sequence[float]) -> float:
        return sum(x * math.log2(x / y) for x, y in zip(a, b, strict=True) if x > 0)

    m = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    return (kl(p, m) + kl(q, m)) / 2


@given(st.lists(st.tuples(SHARES, SHARES), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_divergence_is_the_textbooks(pairs: list[tuple[float, float]]) -> None:
    total = [sum(pair[i] for pair in pairs) for i in (0, 1)]
    if min(total) < 1e-6:
        return
    p, q = ([pair[i] / total[i] for pair in pairs] for i in (0, 1))
    found = gold.divergence(log(p), log(q))[0]
    assert found == pytest.approx(textbook(p, q), abs=1e-9)
    assert found == pytest.approx(gold.divergence(log(q), log(p))[0])


def test_divergence_is_0_of_the_same_and_1_of_what_has_nothing_in_common_or_broke() -> None:
    a = log([0.2, 0.8], [1, 0], [0.5, 0.5])
    b = log([0.2, 0.8], [0, 1], [0.5, 0.5])
    b[2] = np.nan
    assert gold.divergence(a, b).tolist() == pytest.approx([0, 1, 1])


@pytest.mark.parametrize("counts", [[1, 1, 1], [2, 0, 1], [0, 3, 0]])
def test_a_gold_model_drawn_twice_is_never_compared_with_itself(counts: list[int]) -> None:
    """Against the plain way: write the drawn ones down, and go through all pairs of them."""
    found = gold.pairs(3)
    far = np.arange(1.0, 1 + len(found))
    between = {(p.gold, p.other): far[i] for i, p in enumerate(found) if p.step is None}
    zero = {p.gold: far[i] for i, p in enumerate(found) if p.step == 0}
    drawn = [g for g, count in enumerate(counts) for _ in range(count)]
    distinct = [between[a, b] for a, b in combinations(drawn, 2) if a != b]
    before, _, noise = gold.over(far, found, np.array(counts, dtype=np.float64))
    assert before == pytest.approx(np.mean([zero[g] for g in drawn]))
    assert noise == pytest.approx(np.mean(distinct)) if distinct else np.isnan(noise)


# --- whole trials -----------------------------------------------------------------------------

CHOICES = ("new", "old", "third")


def questions(facts: int, draws: int = 1) -> list[Question]:
    """Return for each fact one question about what changes and one about what stays."""
    found: list[Question] = []
    for number in range(facts * draws):
        draw, request = number % draws, f"{number % draws}.{number}"
        for probe, of in (("efficacy", "target"), ("neighborhood", "neighbour")):
            found.append(
                Question(
                    id=f"{request}/{probe}/0",
                    draw=draw,
                    request=request,
                    probe=probe,
                    set="target" if of == "target" else "neighbour",
                    prompt=f"{probe} of {number}",
                    candidates=CHOICES,
                    right=0,
                    right_before=1,
                    rival=1,
                    subject=f"subject {number}",
                    fact=f"{probe} of {number}",
                    of_type=(0, 1, 2),
                )
            )
    return sorted(found, key=lambda question: question.draw)


def said(asked: Sequence[Question], probabilities: Floats) -> list[Answer]:
    return [
        Answer(
            question=question.id,
            logp=tuple(np.log(row).tolist()),
            tokens=(1, 1, 1),
            argmax=tuple(bool(i == row.argmax()) for i in range(3)),
        )
        for question, row in zip(asked, probabilities, strict=True)
    ]


def around(centre: Floats, noise: float, seed: int) -> Floats:
    """Return distributions near `centre`: those of a model of another seed."""
    generator = np.random.default_rng(seed)
    logits = np.log(centre) + noise * generator.standard_normal(centre.shape)
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def trial(
    asked: Sequence[Question],
    before: Floats,
    after: Floats,
    golds: Sequence[Floats],
    hidden: Sequence[Floats] | None = None,
    trained: Sequence[tuple[int, str]] = (),
) -> tuple[dict[tuple[int, str], Metric], pl.DataFrame, list[tuple[View, View, list[View]]]]:
    """Return (step, name) -> metric, the table of pairs, and the views of each draw."""
    said_by = [before, after, *golds]
    rows = pl.concat(
        [frame(asked, said(asked, p), step) for step, p in enumerate([before, after])]
    )
    rows = with_trained(rows, trained)
    states = hidden or [np.log(p)[None] for p in said_by]
    draws: list[tuple[View, View, list[View]]] = []
    for draw in sorted({question.draw for question in asked}):
        mine = [i for i, question in enumerate(asked) if question.draw == draw]
        views = [
            View(
                rows=frame(
                    [asked[i] for i in mine], said([asked[i] for i in mine], p[mine]), 1
                ),
                at=np.arange(len(mine)),
                logp=np.log(p[mine]),
                hidden=states[m][:, mine],
            )
            for m, p in enumerate(said_by)
        ]
        draws.append((views[0], views[1], views[2:]))
    compared = gold.compare(rows, draws)
    drawn = Resampled.of(compared.questions, len(golds), 0)
    layers = list(gold_layers.compare(compared.questions, draws, drawn))
    found = [
        *gold_metrics.metrics(compared, drawn),
        *gold_layers.metrics(layers, len(golds), drawn),
    ]
    return {(m.step, m.name): m for m in found}, compared.table(), draws


CHANGED, STAYED = (0.9, 0.05, 0.05), (0.05, 0.9, 0.05)


def truth(asked: Sequence[Question], *, edited: bool) -> Floats:
    """Return what a noiseless model says after the change, or before it."""
    return np.array([CHANGED if edited and q.probe == "efficacy" else STAYED for q in asked])


def test_a_distance_is_the_mean_divergence_over_that_between_gold_models() -> None:
    asked = questions(1)
    golds = [np.array([CHANGED, STAYED]), np.array([(0.7, 0.2, 0.1), (0.1, 0.7, 0.2)])]
    before, after = truth(asked, edited=False), np.array([(0.5, 0.4, 0.1), STAYED])
    found, table, _ = trial(asked, before, after, golds)
    noise = textbook(golds[0][0], golds[1][0])
    far = np.mean([textbook(after[0], one[0]) for one in golds])
    control = np.mean([textbook(before[0], one[0]) for one in golds])
    assert found[1, "efficacy.gold_noise"].value == pytest.approx(noise, abs=1e-6)
    assert found[1, "efficacy.gold_divergence"].value == pytest.approx(far, abs=1e-6)
    assert found[1, "efficacy.gold_distance"].value == pytest.approx(far / noise, rel=1e-5)
    assert found[0, "efficacy.gold_distance"].value == pytest.approx(control / noise, rel=1e-5)
    assert found[1, "efficacy.gold_agreement"].value == 1
    assert found[0, "efficacy.gold_agreement"].value == 0
    assert found[1, "efficacy.gold_accuracy"].value == 1
    # Half of the weight on what changed, half on what is kept, of the distance and of its unit.
    stayed = [textbook(after[1], one[1]) for one in golds]
    unit = noise + textbook(golds[0][1], golds[1][1])
    balanced = (far + np.mean(stayed)) / unit
    assert found[1, "all.gold_distance.balanced"].value == pytest.approx(balanced, rel=1e-5)
    assert found[1, "efficacy.gold_distance"].low is None  # one fact has no interval
    pairs = table.filter(pl.col("probe") == "efficacy").select("step", "gold", "other")
    assert set(pairs.rows()) == {(s, g, None) for s in (0, 1) for g in (0, 1)} | {(None, 0, 1)}


def test_a_margin_is_that_of_the_farthest_gold_model_and_halves_of_what_changed_and_is_kept() -> (
    None
):
    asked = questions(1)
    golds = [
        np.array([CHANGED, STAYED]),
        np.array([(0.7, 0.2, 0.1), (0.1, 0.7, 0.2)]),
        np.array([(0.5, 0.1, 0.4), (0.2, 0.6, 0.2)]),
    ]
    after = np.array([(0.5, 0.4, 0.1), STAYED])
    found, _, _ = trial(asked, truth(asked, edited=False), after, golds)

    def far(i: int, said: Floats, others: Sequence[Floats]) -> float:
        return float(np.mean([textbook(said[i], one[i]) for one in others]))

    rest = [[one for one in golds if one is not own] for own in golds]
    margins = [
        [far(i, own, others) for own, others in zip(golds, rest, strict=True)] for i in (0, 1)
    ]
    mine = [far(i, after, golds) for i in (0, 1)]
    metric = found[1, "efficacy.gold_margin"]
    assert metric.value == pytest.approx(mine[0] / max(margins[0]), rel=1e-5)
    assert metric.n == 1 and metric.low is None
    both = sum(mine) / max(a + b for a, b in zip(*margins, strict=True))
    assert found[1, "all.gold_margin.balanced"].value == pytest.approx(both, rel=1e-5)
    # Each gold model held to the other two, whose one distance is its unit.
    apart = [far(0, a, [b]) for a, b in ((golds[0], golds[1]), (golds[1], golds[2]))]
    apart.append(far(0, golds[0], [golds[2]]))
    held = [(sum(apart) - unit) / 2 / unit for unit in apart]
    mean = float(np.prod(held)) ** (1 / 3)
    assert found[1, "efficacy.gold_margin_gold"].value == pytest.approx(mean, rel=1e-5)
    assert (0, "efficacy.gold_margin_gold") not in found


def test_what_a_method_was_trained_on_to_keep_is_in_a_slice_of_its_own_alone() -> None:
    asked = questions(20, draws=2)
    new = truth(asked, edited=True)
    golds = [around(new, 0.3, seed) for seed in range(3)]
    mine = [(q.draw, q.fact) for q in asked if q.probe == "neighborhood"][::2]
    held = {fact for _, fact in mine}
    after = around(new, 0.3, 91)
    for i, question in enumerate(asked):
        if question.fact in held:
            after[i] = golds[0][i]  # as near as can be: it was trained on
    before = truth(asked, edited=False)
    found, table, _ = trial(asked, before, after, golds, trained=mine)
    plain, whole, _ = trial(asked, before, after, golds)
    for name in ("all.gold_divergence.kept", "neighborhood.gold_margin"):
        assert found[1, name].n == 20 and plain[1, name].n == 40
        assert found[1, name].value > plain[1, name].value
    apart = found[1, "all.gold_margin.trained"]
    assert apart.n == found[1, "neighborhood.gold_margin.trained"].n == 20
    assert apart.value < found[1, "all.gold_margin.kept"].value
    assert not any("trained" in name for _, name in plain)
    assert found[1, "all.gold_margin.changed"] == plain[1, "all.gold_margin.changed"]
    # Of two methods, one of which was trained on some, the others are compared.
    pair = gold_metrics.paired(table, whole, "kept")
    assert pair is not None and (pair.value, pair.n) == (0, 20)


def test_one_more_gold_model_is_at_distance_1_and_the_old_model_is_far() -> None:
    asked = questions(40, draws=2)
    new, old = truth(asked, edited=True), truth(asked, edited=False)
    golds = [around(new, 0.3, seed) for seed in range(5)]
    found, _, _ = trial(asked, around(old, 0.3, 90), around(new, 0.3, 91), golds)
    for name in ("efficacy", "neighborhood", "all"):
        metric = found[1, f"{name}.gold_distance"]
        assert metric.low is not None and metric.high is not None
        assert metric.low < 1 < metric.high and 0.7 < metric.value < 1.4
    control = found[0, "efficacy.gold_distance"]
    assert control.low is not None and control.low > 5
    margins = [found[step, "efficacy.gold_margin"] for step in (0, 1)]
    assert margins[0].low is not None and margins[0].low > 1
    assert 0.5 < margins[1].value < 1.3 and margins[1].n == 80
    assert found[0, "neighborhood.gold_distance"].value < 1.5  # nothing was to change there
    assert found[1, "efficacy.gold_distance"].n == 80


def test_more_gold_models_and_facts_narrow_the_interval() -> None:
    widths: list[float] = []
    for facts, golds in ((6, 3), (60, 12)):
        asked = questions(facts, draws=2)
        new = truth(asked, edited=True)
        models = [around(new, 0.3, seed) for seed in range(golds)]
        found, _, _ = trial(asked, new, around(new, 0.5, 91), models)
        metric = found[1, "all.gold_distance"]
        assert metric.low is not None and metric.high is not None
        widths.append(metric.high - metric.low)
    assert widths[1] < widths[0] / 2


def test_two_methods_are_compared_on_the_same_facts() -> None:
    asked = questions(30, draws=2)
    new, old = truth(asked, edited=True), truth(asked, edited=False)
    golds = [around(new, 0.3, seed) for seed in range(4)]
    # Facts differ much in how far they are, methods little: what one does, the other nearly does.
    rough = around(new, 1.0, 90)
    one, near = trial(asked, old, rough, golds)[:2]
    other, far = trial(asked, old, around(rough, 0.2, 91), golds)[:2]
    found = gold_metrics.paired(far, near)
    assert found is not None and found.low is not None and found.high is not None
    name = (1, "all.gold_distance.balanced")
    assert found.value == pytest.approx(other[name].value - one[name].value, rel=1e-6)
    low, high = one[name].low, one[name].high
    assert low is not None and high is not None
    assert found.high - found.low < (high - low) / 2
    same = gold_metrics.paired(near, near, "changed")
    assert same is not None and (same.value, same.low, same.high) == (0, 0, 0)


def test_a_broken_model_is_as_far_as_can_be() -> None:
    asked = questions(10)
    new = truth(asked, edited=True)
    golds = [around(new, 0.3, seed) for seed in range(2)]
    broken = np.full_like(new, np.nan)
    found, _, _ = trial(asked, new, broken, golds)
    assert found[1, "all.gold_divergence"].value == 1
    assert found[1, "all.gold_agreement"].value == 0
    assert found[1, "all.gold_cka.layer0"].value > found[0, "all.gold_cka.layer0"].value


# --- intervals --------------------------------------------------------------------------------

DRAWS, FACTS = 4, 10


def resample(golds: int, draws: int = DRAWS) -> Resampled:
    """Return what is drawn of trials in which every fact has its own subject."""
    names = [str(i) for i in range(draws * FACTS)]
    of_draw = np.repeat(np.arange(draws), FACTS)
    return Resampled.of(
        pl.DataFrame({"draw": of_draw, "cluster": names, "unit": names}), golds, 1
    )


def means(values: Floats, drawn: Resampled) -> Floats:
    """Return the means of (facts, columns) in every row."""
    total, n = drawn.sums(values, np.arange(len(values)))
    return replicates(drawn.counts, total, n)


def simulated(share: float, golds: int, seeds: float) -> tuple[Floats, Floats]:
    """Return (rows, 200) distances whose truth is 4, and units whose truth is .1, of trials.

    `share` of the variance over facts lies between draws; gold models differ by `seeds`.
    """
    generator = np.random.default_rng(0)
    drawn, trials, found = resample(golds), 200, gold.pairs(golds)
    of_draw = generator.standard_normal((2, DRAWS, trials))[:, drawn.draw]
    of_fact = generator.standard_normal((2, len(drawn.draw), trials))
    off = share**0.5 * of_draw + (1 - share) ** 0.5 * of_fact
    far, unit = 0.4 + 0.12 * off[0], 0.1 + 0.03 * off[1]
    ahead = seeds * generator.standard_normal((trials, golds))
    columns = [
        far + 3 * ahead[:, pair.gold]
        if pair.other is None
        else unit + ahead[:, pair.gold] + ahead[:, pair.other]
        for pair in found
    ]
    many = np.stack([means(column, drawn) for column in columns], -1)  # (rows, trials, pairs)
    _, after, noise = gold.over(many, found, drawn.golds[:, None])
    return gold_metrics.in_units(after, noise), noise


def covered(many: Floats, truth: float, golds: int, *, stretched: bool = True) -> float:
    """Return the share of columns whose interval holds the truth."""
    drawn, ones = resample(golds), np.ones(many.shape[1])
    factor = drawn.stretch(many, DRAWS * ones, len(drawn.draw) * ones) if stretched else ones
    low, high = percentiles(many[drawn.parts[-1]])
    low, high = many[0] - factor * (many[0] - low), many[0] + factor * (high - many[0])
    return float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_coverage_with_four_draws(share: float) -> None:
    distance, _ = simulated(share, golds=4, seeds=0.01)
    assert covered(distance, 4, 4) >= 0.89  # of a ratio, which is skewed; of its parts .92
    if share >= 0.5:
        assert covered(distance, 4, 4, stretched=False) < 0.88


def test_coverage_with_three_gold_seeds_that_differ() -> None:
    distance, noise = simulated(0.0, golds=3, seeds=0.02)
    assert covered(distance, 4, 3) >= 0.915
    assert covered(noise, 0.1, 3) >= 0.915
    assert covered(noise, 0.1, 3, stretched=False) < 0.88


@pytest.mark.parametrize("draws", [1, 4])
def test_stretch_is_that_of_all_metrics_where_gold_models_do_not_differ(draws: int) -> None:
    generator = np.random.default_rng(0)
    drawn = resample(3, draws)
    values = generator.standard_normal((draws * FACTS, 40))
    values += 2 * generator.standard_normal((draws, 40))[drawn.draw]
    ones = np.ones(40)
    mine = drawn.stretch(means(values, drawn), draws * ones, draws * FACTS * ones)
    theirs = stretch(drawn.draw, values, np.ones_like(values))
    # What comes from within draws is known from INSIDE rows, so to some 5 %.
    assert mine == pytest.approx(theirs, rel=0.2)
    assert mine.mean() == pytest.approx(theirs.mean(), rel=0.06)


def test_rows_leave_out_a_draw_or_a_gold_seed() -> None:
    drawn = resample(3)
    values = np.random.default_rng(0).standard_normal((DRAWS * FACTS, 1))
    without, inside, golds, rest = drawn.parts
    found = means(values, drawn)[:, 0]
    assert found[0] == pytest.approx(values.mean())
    left_out = [np.delete(values, np.s_[d * FACTS : (d + 1) * FACTS]) for d in range(DRAWS)]
    assert found[without] == pytest.approx([part.mean() for part in left_out])
    of_draw = values.reshape(DRAWS, FACTS)
    assert found[inside].mean() == pytest.approx(values.mean(), abs=0.05)
    within = (of_draw.var(1) / FACTS).mean() / DRAWS
    assert found[inside].var() == pytest.approx(within, rel=0.3)
    assert (found[golds] == found[0]).all()
    assert drawn.golds[golds].tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert len(found[rest]) == len(drawn.golds[rest]) == REPLICATES


def test_no_distance_is_below_0() -> None:
    """However far the ends of an interval move outwards; a difference may well be negative."""
    asked = questions(10, draws=2)
    new, old = truth(asked, edited=True), truth(asked, edited=False)
    half = new.copy()
    half[: len(half) // 2] = old[: len(half) // 2]  # one draw failed, the other did not
    golds = [around(new, 0.3, seed) for seed in range(3)]
    one, table, _ = trial(asked, old, half, golds)
    metric = one[1, "efficacy.gold_distance"]
    assert metric.low == 0 and metric.high is not None and metric.high > 5 * metric.value
    _, other, _ = trial(asked, old, around(new, 0.3, 90), golds)
    found = gold_metrics.paired(table, other, "changed")
    assert found is not None and found.low is not None and found.low < 0


def test_of_two_gold_models_neither_is_left_alone() -> None:
    """A distance needs both; its variance is that of the mean of two all the same."""
    drawn = resample(2)
    many = (drawn.golds * [1.0, 3.0]).sum(1, keepdims=True) / drawn.golds.sum(1, keepdims=True)
    factor = drawn.stretch(many, np.array([4.0]), np.array([40.0]))
    # The variance of the mean of 1 and 3 is 1, the replicates have half of that; t(1) / z = 6.48.
    assert factor == pytest.approx(6.483 * 2**0.5, rel=0.03)


def test_a_rate_without_exception_is_bounded_by_how_many_draws_there_were() -> None:
    """As all other rates: facts of one update may stand or fall together."""
    for draws, low in ((4, 1 - unseen_share(np.array([4.0]))[0]), (1, 0.025 ** (1 / FACTS))):
        asked = questions(FACTS, draws=draws)
        new = truth(asked, edited=True)
        found, _, _ = trial(asked, new, new, [around(new, 0.1, seed) for seed in range(3)])
        metric = found[1, "efficacy.gold_agreement"]
        assert (metric.value, metric.low, metric.high) == (1, pytest.approx(low), 1)


# --- inside -----------------------------------------------------------------------------------


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_weighted_hsic_is_that_of_the_repeated_rows(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal((2, 7, 3))
    weights = generator.integers(0, 3, size=(4, 7)).astype(np.float64)
    weights[:, 0] += 1
    found = gold_layers.hsic(x @ x.T, y @ y.T, weights)
    for row, value in zip(weights, found, strict=True):
        index = np.repeat(np.arange(7), row.astype(int))
        a, b = (z[index] - z[index].mean(0) for z in (x, y))
        assert value == pytest.approx(((b.T @ a) ** 2).sum() / len(index) ** 2, abs=1e-9)


def test_layers_are_compared_whatever_their_axes() -> None:
    generator = np.random.default_rng(0)
    asked = questions(20, draws=2)
    new = truth(asked, edited=True)
    body = generator.standard_normal((1, len(asked), 6))
    turn = np.linalg.qr(generator.standard_normal((6, 6)))[0]
    noisy = [body + 0.1 * generator.standard_normal(body.shape) for _ in range(4)]
    golds = [3 * noisy[0] @ turn, noisy[1] - 5, noisy[2]]
    far = generator.standard_normal(body.shape)
    hidden = [far, noisy[3] @ turn.T, *golds]
    found, _, draws = trial(asked, new, new, [around(new, 0.3, s) for s in range(3)], hidden)
    assert 0.7 < found[1, "all.gold_cka.layer0"].value < 1.4
    assert found[0, "all.gold_cka.layer0"].value > 10
    # Against the textbook: columns centred, no weights, the mean over draws.
    shares = {
        pair: np.mean([1 - cka(one, two) for one, two in models(draws, pair)])
        for pair in gold.pairs(3)
    }
    step = np.mean([v for pair, v in shares.items() if pair.step == 1])
    noise = np.mean([v for pair, v in shares.items() if pair.step is None])
    assert found[1, "all.gold_cka.layer0"].value == pytest.approx(step / noise)


def models(
    draws: Sequence[tuple[View, View, list[View]]], pair: Pair
) -> list[tuple[Floats, Floats]]:
    found: list[tuple[Floats, Floats]] = []
    for before, after, golds in draws:
        two = golds[pair.other] if pair.other is not None else (before, after)[pair.step or 0]
        found.append((golds[pair.gold].hidden[0], two.hidden[0]))
    return found


def cka(x: Floats, y: Floats) -> float:
    x, y = x - x.mean(0), y - y.mean(0)
    top = ((y.T @ x) ** 2).sum()
    return float(top / np.sqrt(((x.T @ x) ** 2).sum() * ((y.T @ y) ** 2).sum()))


def test_too_few_questions_have_no_layers() -> None:
    asked = questions(3)
    new = truth(asked, edited=True)
    found, _, _ = trial(asked, new, new, [around(new, 0.3, s) for s in range(2)])
    assert (1, "all.gold_distance") in found
    assert not any("gold_cka" in name for _, name in found)
