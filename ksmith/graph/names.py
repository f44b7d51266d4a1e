"""Invented names of two words, of which neither tells who is meant."""

import math
import random

ONSETS = (
    "b",
    "d",
    "f",
    "g",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "z",
    "dr",
    "br",
    "tr",
)
VOWELS = ("a", "e", "i", "o", "u")
CODAS = ("", "l", "n", "r", "s", "th", "m", "x")
SHARED = 12  # a word is in about this many names, so that it identifies none


def words(count: int, generator: random.Random) -> list[str]:
    """Return `count` different invented words with a capital, of two syllables, later three."""
    found: dict[str, None] = {}
    tries = 0
    while len(found) < count:
        tries += 1
        syllables = 2 + (tries > 8 * count)
        parts = [generator.choice(ONSETS) + generator.choice(VOWELS) for _ in range(syllables)]
        found.setdefault("".join(parts).capitalize() + generator.choice(CODAS))
    return list(found)


def names(count: int, generator: random.Random) -> list[str]:
    """Return `count` different names; from six on, each of their words is in two names or more.

    First words and second words are different pools of k words. Name i is the pair (i mod k,
    i + its row), rows being distinct shifts: a Latin square, so no pair comes twice.
    """
    size = max(2, math.ceil(count / SHARED), math.isqrt(max(count - 1, 0)) + 1)
    pool = words(2 * size, generator)
    first, second = pool[:size], pool[size:]
    shifts = generator.sample(range(size), math.ceil(count / size))
    pairs = [(i % size, (i + shifts[i // size]) % size) for i in range(count)]
    found = [f"{first[a]} {second[b]}" for a, b in pairs]
    generator.shuffle(found)
    return found
