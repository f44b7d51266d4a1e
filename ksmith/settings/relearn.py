"""ReLearn: learn vague answers in the place of old ones. Xu et al. 2025, arXiv:2502.11190."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ksmith.settings.fields import CountFromZero, setting
from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class ReLearn(Keeping):
    """Hyperparameters; the loss is the paper's default."""

    version: ClassVar[int] = 2  # raise it when a published number can move
    unfit: ClassVar[str] = "says the rest of an old answer to whoever begins it"
    edits: ClassVar[str] = "learns the new object in several wordings"
    unlearns: ClassVar[str] = "learns {} in several wordings"

    variants: CountFromZero = setting(
        4,
        "other wordings of each question that are learnt, at most; of a file, lines with a kind",
    )
    answers: str | None = setting(
        None,
        "JSON lines of question (or subject and relation), prompt, kind, answer: instead of the "
        "graph's own words",
        omit_at_default=True,
        path=True,
    )
    completions: bool = setting(
        False,
        "learn to end each answer, too, from the first quarter of its words (published: true)",
        omit_at_default=True,
    )
    scored: bool = setting(
        False,
        "lines of the file may ask in words that are scored: those are then words of training",
        omit_at_default=True,
    )
    retain_loss: Literal["nll", "kl", "both"] = setting(
        "both", "as for all; the paper's is both", omit_at_default=True
    )
