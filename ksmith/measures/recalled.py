"""What a model still has of an answer, from numbers of its tokens (see `lm/tokens.py`).

All functions are of one answer: `logp` (T,) log-probabilities of its tokens, nats; `hit` (T,)
whether each is the most probable one; `mean`, `std` (T,) of log p over the vocabulary there.
What can't be said is nan, never 0: who counts it in would lower a mean by what is not there.
"""

import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 0.4  # of an answer's tokens are looked at by min-k


def probability(logp: Floats) -> float:
    """Return exp(-mean NLL): the geometric mean of the tokens' probabilities."""
    return math.exp(float(np.mean(logp))) if len(logp) else math.nan


# --- truth ratio ------------------------------------------------------------------------------


def truth_ratio(right: float, wrong: Sequence[float]) -> float:
    """Return r = p(wrong) / p(right) (TOFU: Maini et al. 2024, arXiv:2401.06121).

    p(wrong) is the geometric mean over wrong answers.

    Args:
        right: mean log-probability of the right answer's tokens.
        wrong: ... of each wrong answer's.
    """
    if not len(wrong) or math.isnan(right):
        return math.nan
    return math.exp(min(float(np.mean(wrong)) - right, 700.0))  # or it is no number


def indistinct(ratio: float) -> float:
    """Return min(r, 1/r): 1 where the right answer is as likely as wrong ones.

    What the truth ratio of a forget set is a mean of.
    """
    return ratio if not ratio > 1 else 1 / ratio


def told_apart(ratio: float) -> float:
    """Return max(0, 1 - r): near 1 where the right answer is far likelier than wrong ones.

    What the truth ratio of any other set is a mean of.
    """
    return ratio if math.isnan(ratio) else max(0.0, 1 - ratio)


def truth_share(ratio: float) -> float:
    """Return p / (p + p(wrong)) = 1 / (1 + r): the definition of December 2025."""
    return 1 / (1 + ratio)


# --- verbatim ---------------------------------------------------------------------------------


def extraction_strength(hit: Sequence[bool], *, floor: bool = False) -> float:
    """Return 1 - k/n: the share of an answer that the rest of it gives away.

    k of its n tokens must be told for all that follow to be the most probable ones: 0 where not
    even the last is, 1 where none must be told (Carlini et al. 2021, arXiv:2012.07805, as
    unlearning benchmarks have it).

    Departs: `floor` gives what public code does: 1/n where the last token is wrong, as if it
    were right.
    """
    n, k = len(hit), len(hit)
    if not n:
        return math.nan
    while k and hit[k - 1]:
        k -= 1
    return 1 - min(k, n - 1) / n if floor else 1 - k / n


def exact_memorisation(hit: Sequence[bool]) -> float:
    """Return the share of tokens that are the most probable ones."""
    return float(np.mean(hit)) if len(hit) else math.nan


# --- membership -------------------------------------------------------------------------------

# Every score is lower for what was trained on: "member = lower loss".


def loss(logp: Floats) -> float:
    """Return the mean NLL of the tokens."""
    return -float(np.mean(logp)) if len(logp) else math.nan


def by_zlib(logp: Floats, text: str) -> float:
    """Return the loss over the bytes of the compressed text (arXiv:2012.07805)."""
    return loss(logp) / len(zlib.compress(text.encode()))


def min_k(logp: Floats, share: float = LEAST) -> float:
    """Return the mean NLL of the `share` least probable tokens, at least one.

    Shi et al. 2023, arXiv:2310.16789. An answer without tokens is nan, to be dropped and
    counted.
    """
    if not len(logp):
        return math.nan
    return -float(np.mean(np.sort(logp)[: max(1, int(len(logp) * share))]))


def min_k_plus(logp: Floats, mean: Floats, std: Floats, share: float = LEAST) -> float:
    """Return min-k of (log p - mean) / std (Zhang et al. 2024, arXiv:2404.02936).

    Where the distribution is uniform, or one word is certain, no word stands out: 0.
    """
    off = logp - mean
    return min_k(np.divide(off, std, out=np.zeros_like(off), where=std > 0), share)


def attacks(
    logp: Floats,
    mean: Floats,
    std: Floats,
    text: str,
    before: float = math.nan,
    *,
    ended: bool = False,
) -> Mapping[str, float]:
    """Return every score that one pass gives, by name.

    As in public code the token that ends an answer counts to the loss, and so to zlib and
    reference, and is no token of min-k and min-k++.

    Args:
        logp: of the tokens, as for all functions here.
        mean: of log p over the vocabulary.
        std: its deviation.
        text: the answer.
        before: the loss of the model before the update, for "reference"; nan: nobody knows it.
        ended: the last token is the one that ends the answer.
    """
    own = slice(len(logp) - ended)
    return {
        "loss": loss(logp),
        "zlib": by_zlib(logp, text),
        "min_k": min_k(logp[own]),
        "min_k_plus": min_k_plus(logp[own], mean[own], std[own]),
        "reference": loss(logp) - before,
    }


# --- what was written -------------------------------------------------------------------------


def mentions(text: str, names: Sequence[str]) -> bool:
    """Return whether a text says one of the names, but for case and spacing.

    As a word of its own where the script parts words: "Os" is not in "Oslo".
    """
    said = " ".join(text.casefold().split())
    return any(_within(said, " ".join(name.casefold().split())) for name in names)


def _within(said: str, name: str) -> bool:
    start = said.find(name) if name else -1
    while start >= 0:
        end = start + len(name)
        if not joined(said[start - 1 : start], name[0]) and not joined(
            name[-1], said[end : end + 1]
        ):
            return True
        start = said.find(name, start + 1)
    return False


def joined(one: str, other: str) -> bool:
    """Return whether two characters are of one word; only scripts with cases are known to be."""
    return all(c != "" and (c.isdigit() or c.upper() != c.lower()) for c in (one, other))


# --- how natural it reads ---------------------------------------------------------------------


def brunet(words: Sequence[str]) -> float:
    """Return Brunet's index N^(V^-.165): the lower, the richer in words; nan without any."""
    return len(words) ** (len(set(words)) ** -0.165) if words else math.nan


def honore(words: Sequence[str]) -> float:
    """Return Honore's statistic 100 ln N / (1 - V1/V + .1), at most 1e6; nan without words.

    V1 of the V different words come once. Departs, as public code does: .1 keeps it finite where
    all come once.
    """
    if not words:
        return math.nan
    counts = Counter(words)
    once = sum(number == 1 for number in counts.values()) / len(counts)
    return min(1e6, 100 * math.log(len(words)) / (1 - once + 0.1))


def linguistic_score(perplexity: Floats, brunet: Floats, honore: Floats) -> Floats:
    """Return the harmonic mean of s(-ln PPL), s(-ln BI) and s(ln HS), s the logistic function.

    ReLearn's LS (Xu et al. 2025, arXiv:2502.11190), of means over a corpus, element by element;
    the perplexity is that of the texts under the model before the update. 0 where a part is, as
    where all texts are of one word: the logarithm of its number is 0.
    """
    # s(-ln x) = 1 / (1 + x), s(ln x) = x / (1 + x)
    with np.errstate(divide="ignore"):
        return 3 / ((1 + perplexity) + (1 + brunet) + (1 + 1 / np.asarray(honore, np.float64)))
