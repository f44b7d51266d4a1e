"""Answers that are sentences: what methods' defaults do to them is said before it is found out."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from ksmith.cli.shell import note

if TYPE_CHECKING:
    from ksmith.graph import KnowledgeGraph
    from ksmith.study import Study

SENTENCE = 6  # words of an answer, from which on it is taken for one


def say_sentences(study: "Study", known: "KnowledgeGraph") -> None:
    """Say which of a study's unlearners should not be left to their defaults, and what to set.

    Args:
        study: its trials say which method has which settings.
        known: a graph of questions and answers.
    """
    words = median(len(fact.object.split()) for fact in known.facts if fact.editable)
    if words < SENTENCE:
        return
    mine = [p.settings for p in study.points if p.settings["graph"] == known.settings]
    asked = [settings for settings in mine if settings["task"]["kind"] == "unlearn"]
    told = dict.fromkeys(text for settings in asked for text in _wanting(settings["method"]))
    if told:
        note(
            f"graph.forget: its answers have {words:g} words (median), and unlearners' defaults "
            f"were chosen on one or two; on sentences {', '.join(told)} (Answers that are "
            "sentences, in studies/README.md)"
        )


def _wanting(method: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is known of a method that a trial leaves to the defaults in question."""
    from ksmith.settings import METHODS, declared

    kind = METHODS[method["name"]]
    other: Mapping[str, float] = getattr(kind, "sentences", {})
    if unfit := getattr(kind, "unfit", ""):
        yield f"{method['name']} {unfit}"
    items = declared(kind)
    if other and all(method.get(n, items[n].default) == items[n].default for n in other):
        values = " and ".join(f"{name} = {value:g}" for name, value in other.items())
        yield f"{method['name']} did better with {values}"
