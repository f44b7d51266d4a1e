"""What is asked of a model, before the update and after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from ksmith.records import Json
from ksmith.settings.fields import Count, setting

Steps = Annotated[int, Field(ge=0, le=100)]
Kind = Literal[
    "efficacy",
    "paraphrase",
    "neighborhood",
    "same_subject",
    "direct",
    "reverse",
    "multi_hop",
    "comparison",
    "conflict",
    "contextual",
    "utility",
    "attribute",
    "fluency",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
USUAL: tuple[Kind, ...] = (
    "efficacy",
    "paraphrase",
    "neighborhood",
    "same_subject",
    "reverse",
    "multi_hop",
    "utility",
)
CHOICES: tuple[Kind, ...] = (  # each question, where four options can be found, is one
    "direct",
    "reverse",
    "multi_hop",
    "comparison",
    "conflict",
    "contextual",
)

DOCS: dict[str, str] = {
    "efficacy": "the request itself, as it was worded",
    "paraphrase": "the request in wordings that this fact, or every fact, was never trained in",
    "neighborhood": "other subjects with the same relation and the same old object: must stay",
    "same_subject": "other facts of the same subject: must stay",
    "direct": "the request in its own words and in words never trained on, with four options",
    "reverse": "the inverse of the request, from object to subject, where that has one answer",
    "multi_hop": "facts that follow from the request, by distance; stored and derived apart",
    "comparison": "the statement with the new object or that with the old; the question after both",
    "conflict": "the request after a sentence that asserts the old object, and the new: always new",
    "contextual": "facts far from every request of the draw, or of another domain: must stay",
    "utility": "sentences that were never trained on, scored as text",
    "attribute": "other subjects that have the new object already: must stay",
    "fluency": "text sampled after prompts about the subject: does it repeat itself?",
}

# A probe that is not asked makes its settings meaningless.
SETTINGS: dict[str, tuple[Kind, ...]] = {
    "neighbors": ("neighborhood", "attribute"),
    "paraphrases": ("paraphrase",),
    "same_subject": ("same_subject",),
    "hops": ("multi_hop",),
    "contextual": ("contextual",),
    "distance": ("contextual",),
    "reworded": ("reverse", "multi_hop"),
    "sentences": ("utility",),
    "texts": ("fluency",),
    "text_tokens": ("fluency",),
    "candidates": (
        "efficacy",
        "paraphrase",
        "direct",
        "reverse",
        "multi_hop",
        "comparison",
        "conflict",
    ),
    "letters": CHOICES,
    "generate": tuple(kind for kind in KINDS if kind not in ("utility", "fluency")),
}


TEXTS, TEXT_TOKENS = 10, 100  # as CounterFact's generation entropy has them
# Settings of `memory`, which without it mean nothing.
OF_MEMORY = ("memory_facts", "memory_tokens", "memory_gradients")
OF_WEIGHTS = ("drift", "drift_facts")  # nothing that is asked, before or after
JUDGES = ("judge_nli", "judge_similarity", "judge_entities")  # ... but read once it is answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The questions of a trial. `known` ones, which condition the rest, are always asked."""

    version: ClassVar[int] = 5  # raise it when questions, scoring or metrics change

    kinds: tuple[Kind, ...] = setting(USUAL, "the probes to ask")
    neighbors: Count = setting(10, "neighbourhood (and attribute) questions a request, at most")
    paraphrases: Count = setting(3, "rewordings a request, at most")
    same_subject: Count = setting(5, "other facts of the subject, at most")
    hops: Count = setting(8, "facts that follow, at most, a request")
    contextual: Count = setting(5, "unrelated facts a request, at most")
    distance: Steps = setting(2, "steps: what is unrelated is farther from every request")
    reworded: bool = setting(False, "ask what follows in words never trained on, too")
    sentences: Count = setting(100, "held-out sentences for the text loss")
    candidates: Count = setting(24, "objects of the type to rank an answer among, at most")
    generate: bool = setting(True, "also let the model write its answer greedily")
    letters: Literal["auto", "never"] = setting(
        "auto",
        "multiple choice by A to D, too: auto where the model means what its letters say",
    )
    texts: Count = setting(TEXTS, "sampled texts a request, at most", omit_at_default=True)
    text_tokens: Count = setting(
        TEXT_TOKENS, "tokens of each text, its prompt included", omit_at_default=True
    )
    drift: bool = setting(
        True, "also measure how far weights and activations move", omit_at_default=True
    )
    drift_facts: Count = setting(
        100, "facts whose prompts are looked at for that, at most", omit_at_default=True
    )
    memory: bool = setting(
        False,
        "also ask what is left of forget, retain and holdout sets: the metrics of unlearning",
        omit_at_default=True,
    )
    memory_facts: Count = setting(
        100,
        "facts of the retain set, shared out among draws (20 for each at least), and of the "
        "holdout set, at most",
        omit_at_default=True,
    )
    memory_tokens: Count = setting(
        200,
        "tokens of what memory has the model write, at most, where it ends by itself: of a user's "
        "own questions, and of models that exist",
        omit_at_default=True,
    )
    memory_gradients: bool = setting(
        False,
        "attack membership by norms of gradients, too: a pass there and back a statement",
        omit_at_default=True,
    )
    judge_nli: str | None = setting(
        None,
        "folder, or NAME@REVISION on the hub, of a model that classifies two texts, with a label "
        "contradiction: judges what memory has the model write, for KFR and KRR",
        path=True,
        omit_at_default=True,
    )
    judge_similarity: str | None = setting(
        None,
        "folder, or NAME@REVISION on the hub, of a sentence-embedding model, mean of its states: "
        "which entities of the answer are written, for KFR and KRR",
        path=True,
        omit_at_default=True,
    )
    judge_entities: str | None = setting(
        None,
        "folder, or NAME@REVISION on the hub, of a model that marks names in a text; without one, "
        "names of the graph, and the rarer words of a user's own answers (measures that end in "
        "_words)",
        path=True,
        omit_at_default=True,
    )

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError(f"kinds is empty; there are {', '.join(KINDS)}")
        if len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"kinds names a probe twice: {', '.join(self.kinds)}")
        if self.judge_entities is not None and self.judge_similarity is None:
            raise ValueError(
                f'judge_entities = "{self.judge_entities}": finds what judge_similarity compares; '
                "name that, too, or leave it out"
            )


def ends_by_itself(graph: Mapping[str, Json], model: Mapping[str, Json]) -> bool:
    """Return whether what a model writes of its sets goes on until it ends by itself.

    A model that is trained here on statements has learned that a full stop comes after the
    object's name. What it writes is not looked at far beyond an answer's length.
    """
    return graph.get("source") == "qa" or "recipe" not in model
