"""Which entities a text names, without a model: names that are known, or its rarer words.

Published code asks a language model for them. Where a graph says what can be named, its names
are exact; of a user's own text nobody knows them, and its rarer words stand in for them (our
definition: measures of that kind end in `_words`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import final

from ksmith.measures.recalled import joined
from ksmith.measures.rouge import WORD, words

COMMON = 10  # a word in more than one in so many answers names nothing
ENDS = ".?!:;…"  # after them a capital says nothing
OPENS = " \t\r\n\"'([«“"  # what may stand between it and the end of the sentence before
LEAST = 2  # ... and in more answers than these


@final
class Named:
    """The names of a graph in texts: the longest that begins at a place, as words of their own."""

    def __init__(self, names: Iterable[tuple[str, str]]) -> None:
        """Know names.

        Args:
            names: how each may be written, and what it then stands for. Of two with one
                spelling the first holds.
        """
        self._stands: dict[str, str] = {}
        for spelled, whole in names:
            if text := _plain(spelled):
                self._stands.setdefault(text, whole)
        lengths: dict[str, set[int]] = {}
        for text in self._stands:
            lengths.setdefault(text[:2], set()).add(len(text))
        self._lengths = {start: sorted(all_, reverse=True) for start, all_ in lengths.items()}

    def found(self, text: str) -> list[str]:
        """Return what a text names, each once, in order."""
        said = _plain(text)
        found: list[str] = []
        at = 0
        while at < len(said):
            size = self._longest(said, at)
            if size:
                found.append(self._stands[said[at : at + size]])
            at += max(1, size)
        return list(dict.fromkeys(found))

    def _longest(self, said: str, at: int) -> int:
        """Return how long the longest name is that begins at a place; 0 where none does."""
        sizes = self._lengths.get(said[at : at + 2], [])
        if len(said[at : at + 2]) == 2:
            sizes = [*sizes, *self._lengths.get(said[at], [])]  # names of one character
        for size in sizes:
            end = at + size
            if end > len(said) or said[at:end] not in self._stands:
                continue
            if not (
                joined(said[at - 1 : at] if at else "", said[at])
                or joined(said[end - 1], said[end : end + 1])
            ):
                return size
        return 0


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


@final
class Rare:
    """The words of a text that are in few of the answers that there are, and their names.

    A word is a name, however often it is said, where the answers write it with a digit, or with
    a capital inside of a sentence and nowhere without.
    """

    def __init__(self, answers: Sequence[str]) -> None:
        """Count words.

        Args:
            answers: all of a user's file, whichever of them is asked for.
        """
        counts = Counter(word for answer in answers for word in set(words(answer)))
        most = max(LEAST, len(answers) // COMMON)
        often = {word for word, count in counts.items() if count > most}
        self._common = often - set(_names(answers))

    def found(self, text: str) -> list[str]:
        """Return the words of a text that are not common, each once, in order."""
        return [word for word in dict.fromkeys(words(text)) if word not in self._common]


def _names(answers: Iterable[str]) -> set[str]:
    """Return the words that are written as names are, folded."""
    capital: set[str] = set()
    small: set[str] = set()
    for answer in answers:
        for match in WORD.finditer(answer):
            word = match[0]
            before = answer[: match.start()].rstrip(OPENS)
            inside = bool(before) and before[-1] not in ENDS
            if word[0].islower():
                small.add(word.casefold())
            elif any(map(str.isdigit, word)) or (inside and word[0].isupper()):
                capital.add(word.casefold())
    return capital - small
