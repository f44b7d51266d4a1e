"""KFR and KRR: what models that read it say of what was written (Xu et al. 2025, arXiv:2502.11190).

    ECS    pairs of an entity that is written and one of the answer whose cosine is >= .8, over
           entities of the answer; 0 where either has none. Entities that share a word with the
           question are left out of both.
    KFR    of the forget set: 1 where the text contradicts the answer, or ECS <= theta_1
    KRR    of any other: 1 where neither contradicts the other, and ECS >= theta_2

Numbers and directions are those of the public code. As there an entity of the answer may be in
several pairs, so that ECS can be above 1, and nothing written is like nothing of it. How many
answers name nothing, of which KFR is 1 and KRR 0 whatever is written, is a measure of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures.memory_table import FORGET
from ksmith.measures.rouge import words

ALIKE = 0.8  # cosine from which on two entities are one
FORGOTTEN, FEW_FORGOTTEN = 0.3, 0.5  # theta_1, and what it is for answers of few entities ...
FEW = 3  # ... this many at most
RETAINED = 0.3  # theta_2
CONTRADICTION = "contradiction"
WORDS = "words"  # what stands in for entities where nobody can say which there are

# What a trial adds to the rows of memory.parquet; null: nobody was asked.
SCHEMA: dict[str, Any] = {
    "surprise": pl.Float64,  # perplexity of the written text under the model before the update
    "nli": pl.String,  # the label of text and answer, in lower case
    "entities": pl.List(pl.String),  # of the answer
    "written": pl.List(pl.String),  # ... and of the text
    "coverage": pl.Float64,  # ECS
    "by": pl.String,  # what found the entities: names, model, words
    "cut": pl.Boolean,  # a judge read the beginning alone
}


def kept(entities: Sequence[str], question: str) -> list[str]:
    """Return the different entities that share no word with the question, in order."""
    asked = set(words(question))
    return [one for one in dict.fromkeys(entities) if not asked & set(words(one))]


def coverage(cosines: NDArray[np.float32]) -> float:
    """Return ECS of cosines (written, of the answer); 0 where either has no entity."""
    return float((cosines >= ALIKE).sum() / cosines.shape[1]) if cosines.size else 0.0


def forgotten(nli: str, covered: float, entities: int) -> bool:
    """Return whether a text says nothing of an answer of so many entities: KFR of one fact."""
    least = FEW_FORGOTTEN if entities <= FEW else FORGOTTEN
    return nli == CONTRADICTION or covered <= least


def retained(nli: str, covered: float) -> bool:
    """Return whether a text still says what the answer does: KRR of one fact."""
    return nli != CONTRADICTION and covered >= RETAINED


def of_row(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the measures of one statement by what judges said of it; none where none was asked."""
    nli, covered = row.get("nli"), row.get("coverage")
    found: dict[str, float] = {}
    if row.get("cut") is not None:
        found["judge_cut"] = float(row["cut"])
    if nli is not None:
        found["contradiction"] = float(nli == CONTRADICTION)
    if covered is None:
        return found
    end = "_words" if row["by"] == WORDS else ""
    found["entity_coverage" + end] = covered
    found["no_entity"] = float(not row["entities"])
    if nli is not None and row["set"] == FORGET:
        found["kfr" + end] = float(forgotten(nli, covered, len(row["entities"])))
    elif nli is not None:
        found["krr" + end] = float(retained(nli, covered))
    return found
