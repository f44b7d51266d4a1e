"""Names in a picture: in fonts that are installed, and what stands for a name that none can write.

matplotlib's own font has Latin, Greek, Cyrillic, Arabic and a few more. What it lacks is looked
for in all fonts that are installed; matplotlib takes each letter from the first font that has it,
and sets Arabic and Hebrew from right to left.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

OWN = "DejaVu Sans"  # comes with matplotlib
# Fonts that draw boxes for everything, or other things than Unicode says.
NEVER = ("Last Resort", "LastResort", ".", "cm", "STIXNonUnicode", "STIXSize")
WIDTH = 20  # of a name, in letters; of those of East Asia, half as many
LOST = "\ufffd"
JOINERS = "\u200c\u200d"  # are never seen, but shape what is around them
BOOK = range(350, 501)  # weights of plain text


@dataclass(frozen=True, slots=True)
class Lettering:
    """The fonts that a picture takes, and the letters that none of them has."""

    families: tuple[str, ...]
    lacking: frozenset[str]

    def writes(self, text: str) -> bool:
        """Return whether all of a text, as `clean` returns it, can be written."""
        return self.lacking.isdisjoint(text)


def lettering(texts: Iterable[str], fonts: Sequence[Any] | None = None) -> Lettering:
    """Return the fonts that write most of `texts`, those first that add most.

    Args:
        texts: what `clean` returned.
        fonts: matplotlib's entries of fonts to choose from; all that are installed.
    """
    from matplotlib.font_manager import fontManager

    wanted = {letter for text in texts for letter in text} - set(JOINERS)
    every = fontManager.ttflist if fonts is None else fonts
    plain = {entry.name: entry for entry in every if _is_plain(entry)}
    families = [OWN]
    missing = wanted - _has(plain[OWN], wanted)
    had = {name: _has(entry, missing) for name, entry in plain.items()} if missing else {}
    while missing and had:
        best = max(sorted(had), key=lambda name: len(had[name] & missing))
        if not had[best] & missing:
            break
        families.append(best)
        missing -= had.pop(best)
    return Lettering(tuple(families), frozenset(missing))


def _is_plain(entry: Any) -> bool:
    upright = entry.style == "normal" and entry.stretch == "normal"
    weight = entry.weight if isinstance(entry.weight, int) else 400
    return upright and weight in BOOK and not entry.name.startswith(NEVER)


def _has(entry: Any, letters: Iterable[str]) -> set[str]:
    """Return which letters the font of a family has; none where it can't be read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(entry.fname, face_index=entry.index)
    except (OSError, RuntimeError):
        return set()
    return {letter for letter in letters if font.get_char_index(ord(letter))}


def clean(text: str) -> str:
    """Return `text` in one line, without marks that are not seen, cut where it is long."""
    seen = "".join(LOST if _is_control(c) else c for c in text if not _is_unseen(c))
    return _cut(" ".join(seen.split()))


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs") and not letter.isspace()


def _is_unseen(letter: str) -> bool:
    if letter in JOINERS:
        return False
    return unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f"


def _cut(text: str) -> str:
    """Return the letters for which there is room, no mark torn off its letter."""
    width, kept = 0, ""
    for index, letter in enumerate(text):
        mark = unicodedata.category(letter).startswith("M") or letter in JOINERS
        width += 0 if mark else 1 + (unicodedata.east_asian_width(letter) in "WF")
        if width <= WIDTH - 1:
            kept = text[: index + 1]
    return text if width <= WIDTH else f"{kept.rstrip()}\u2026"
