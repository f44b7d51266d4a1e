"""What is asked of a method."""

from dataclasses import dataclass
from typing import Literal

from ksmith.settings.fields import REQUIRED, Count, CountFromZero, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`draws` independent updates of `scale` facts each, all from the base weights."""

    kind: Literal["edit", "unlearn"] = setting(
        "edit", "edit: answer with a new object; unlearn: stop answering with the old one"
    )
    method: str = setting(REQUIRED, "the editor or unlearner")
    level: Literal["any", "root", "intermediate", "leaf"] = setting(
        "any", "level of the subjects in the graph"
    )
    scale: Count = setting(1, "facts updated together")
    draws: Count = setting(20, "independent updates, each from the base weights")
    neutral: Literal["abstain", "prior"] = setting(
        "abstain",
        "what an unlearned fact should answer: abstain, the reply to never-known subjects; "
        "prior, the relation's most common other object",
    )
    gold: CountFromZero = setting(
        0,
        "gold models a draw, trained on the changed graph, to which updates are held; 5 or more "
        "where it carries a claim",
        omit_at_default=True,
    )

    def __post_init__(self) -> None:
        if self.gold == 1:
            raise ValueError(
                "gold = 1: must be 0, or 2 and more: the unit of distance is that between two "
                "gold models"
            )
