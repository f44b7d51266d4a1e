"""ROUGE-L: the longest common subsequence of words (Lin 2004, aclanthology.org/W04-1013)."""

import re
from collections.abc import Sequence

# Departs: no stemming, which public code does by an English table; what is not a letter or a
# digit parts words, as there.
WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Return runs of letters and digits, in lower case.

    >>> words("It's Saint-Malo, 2.")
    ['it', 's', 'saint', 'malo', '2']
    """
    return WORD.findall(text.casefold())


def common(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    Bit by bit, a row of the table as one number (Hyyrö 2004): `row` has a 0 where the best
    length grows along `a`.
    """
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    row = full = (1 << len(a)) - 1
    for word in b:
        here = row & places.get(word, 0)
        row = ((row + here) | (row - here)) & full
    return len(a) - row.bit_count()


def rouge_l(said: str, answer: str) -> tuple[float, float]:
    """Return recall and F1 of what was said; 0 where either has no word.

    >>> rouge_l("in the old town", "the town of Oss")
    (0.5, 0.5)
    """
    mine, true = words(said), words(answer)
    if not mine or not true:
        return 0.0, 0.0
    shared = common(mine, true)
    return shared / len(true), 2 * shared / (len(mine) + len(true))
