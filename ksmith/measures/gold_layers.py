"""How far a model is from gold models inside: 1 - linear CKA, layer by layer.

Models of other seeds have other axes, so states are compared by how alike they make the same
questions: linear centred kernel alignment (Kornblith et al. 2019, arXiv:1905.00414), which no
rotation changes. It is near 1 where questions are fewer than axes, whatever they are; the unit,
the same measure between two gold models on the same questions, is then as small.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ksmith.measures.gold import ALL, PARTS, Floats, Ints, Pair, View, mask, over, pairs
from ksmith.measures.gold_metrics import in_units
from ksmith.measures.gold_numbers import HIGHEST, Number, summary
from ksmith.measures.gold_resampled import Resampled
from ksmith.measures.slices import TRAINED
from ksmith.records import Metric

MOST = 256  # questions of a draw that are compared: the cost goes with their square
LEAST = 8  # ... and fewer are too few to be alike or not
SHOWN = 400  # replicates


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """1 - CKA of each pair of models, in each draw, of one part of the questions."""

    part: str
    draws: Ints  # (draws,) those with questions enough
    far: Floats  # (rows of `Resampled`, draws, layers, pairs); nan where a row lacks the draw
    weight: Floats  # (rows, draws) how often each draw came up
    n: int  # facts
    clusters: int


def metrics(found: Sequence[Layers], golds: int, drawn: Resampled) -> list[Metric]:
    """Return `all.gold_cka` of each layer and part, in units of gold-to-gold distance."""
    numbers: list[Number] = []
    for part in found:
        weight = np.where(np.isnan(part.far), 0.0, part.weight[:, :, None, None])
        with np.errstate(invalid="ignore"):
            far = (np.nan_to_num(part.far) * weight).sum(1) / weight.sum(1)
        for layer in range(far.shape[1]):
            *models, noise = over(far[:, layer], pairs(golds), drawn.golds[: len(far)])
            name = ".".join(x for x in (f"layer{layer}", part.part) if x)
            numbers += [
                Number(
                    step=step,
                    probe=ALL,
                    measure="gold_cka",
                    slice=name,
                    many=in_units(model, noise),
                    n=part.n,
                    clusters=part.clusters,
                    draws=len(part.draws),
                )
                for step, model in enumerate(models)
            ]
    return summary(numbers, drawn, HIGHEST)


def table(found: Sequence[Layers], golds: int) -> pl.DataFrame:
    """Return one row a part, draw, layer and pair, to keep; `step` is null between gold models."""
    rows = [
        (part.part, int(draw), layer, pair.step, pair.gold, pair.other, float(value))
        for part in found
        for i, draw in enumerate(part.draws)
        for layer, values in enumerate(part.far[0, i])
        for pair, value in zip(pairs(golds), values, strict=True)
    ]
    whole = ("draw", "layer", "step", "gold", "other")
    schema = {"part": pl.String, **dict.fromkeys(whole, pl.Int32), "distance": pl.Float64}
    return pl.DataFrame(rows, schema, orient="row")


def compare(
    questions: pl.DataFrame,
    draws: Sequence[tuple[View, View, Sequence[View]]],
    drawn: Resampled,
) -> Iterator[Layers]:
    """Yield the layers' distances of each part that has questions enough in some draw.

    Args:
        questions: of all draws, as `gold.Compared` has them.
        draws: of each draw the model before the update, after it, and the gold models.
        drawn: what the bootstrap drew for these questions.
    """
    starts = np.cumsum([0, *(after.rows.height for _, after, _ in draws)])
    for name, inside in PARTS.items():
        asked = mask(questions, inside & ~TRAINED)
        kept: list[tuple[int, Floats, Floats, Ints]] = []
        for i, views in enumerate(draws):
            at = views[1].at
            use = _spread(np.flatnonzero(asked[starts[i] + at]))
            if len(use) >= LEAST:
                rows = starts[i] + at[use]
                kept.append((i, *_draw(views, use, rows, drawn), rows))
        if kept:
            every = np.concatenate([rows for *_, rows in kept])
            units = np.unique(drawn.unit[every])
            yield Layers(
                part=name,
                draws=np.array([questions["draw"][int(starts[i])] for i, *_ in kept]),
                far=np.stack([far for _, far, _, _ in kept], 1),
                weight=np.stack([weight for _, _, weight, _ in kept], 1),
                n=len(units),
                clusters=len(np.unique(drawn.cluster[units])),
            )


def _spread(rows: Ints) -> Ints:
    """Return at most MOST of `rows`, evenly chosen."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), MOST)).round().astype(np.int64)
    return rows[places]


def _draw(
    views: tuple[View, View, Sequence[View]], use: Ints, rows: Ints, drawn: Resampled
) -> tuple[Floats, Floats]:
    """Return (rows, layers, pairs) distances, and (rows,) weights."""
    before, after, golds = views
    counts = drawn.counts[: drawn.parts[-1].start + SHOWN]
    cluster = drawn.cluster[drawn.unit[rows]]
    weights = counts[:, cluster]  # (rows, questions)
    same = drawn.draw == drawn.draw[cluster[0]]
    models = [before, after, *golds]
    far = [
        _far([model.hidden[layer][use] for model in models], pairs(len(golds)), weights)
        for layer in range(after.hidden.shape[0])
    ]
    return np.stack(far, 1), counts[:, same].mean(1)


def _far(states: Sequence[Floats], found: Sequence[Pair], weights: Floats) -> Floats:
    """Return (replicates, pairs) of one layer; `states` are of step 0, step 1, gold models."""
    grams = [_gram(state) for state in states]
    own = [hsic(gram, gram, weights) for gram in grams]
    far: list[Floats] = []
    for pair in found:
        one = 2 + pair.gold
        two = 2 + pair.other if pair.other is not None else pair.step or 0
        with np.errstate(invalid="ignore", divide="ignore"):
            alike = hsic(grams[one], grams[two], weights) / np.sqrt(own[one] * own[two])
        # States that are no numbers, or all the same, are as far as can be.
        lacking = weights.sum(1) == 0
        distance = 1 - np.where(np.isfinite(alike), np.clip(alike, 0.0, 1.0), 0.0)
        far.append(np.where(lacking, np.nan, distance))
    return np.stack(far, 1)


def _gram(states: Floats) -> Floats:
    """Return (n, n) inner products of centred states; scaled, since CKA does not mind."""
    centred = states - states.mean(0)
    with np.errstate(invalid="ignore"):
        gram = centred @ centred.T
    size = np.abs(gram).mean()
    return gram / size if size > 0 else gram


def hsic(K: Floats, L: Floats, weights: Floats) -> Floats:
    """Return (replicates,) sum_ij p_i p_j Kc_ij Lc_ij, K and L centred by the weights p.

    Args:
        K: (n, n) inner products of one model's states.
        L: (n, n) those of the other's.
        weights: (replicates, n); p is a row of it, made to add up to 1.
    """
    with np.errstate(invalid="ignore"):
        p = weights / weights.sum(1, keepdims=True)
        k, m = p @ K, p @ L  # (replicates, n) row means
        both = ((p @ (K * L)) * p).sum(1)
    return both - 2 * (p * k * m).sum(1) + (p * k).sum(1) * (p * m).sum(1)
