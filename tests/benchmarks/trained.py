"""A small model that knows something: trained on a generated graph, as a study would have it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ksmith import graph
from ksmith.lm.assets import Assets
from ksmith.lm.load import load, save
from ksmith.lm.moments import second_moments
from ksmith.lm.recipes import numbers
from ksmith.lm.train import train
from ksmith.records import Request

CONTEXTS = 20  # texts to put before a prompt
TOKENS = 20_000  # behind the second moments


@dataclass(frozen=True)
class Small:
    """A trained model and what methods are given beside it."""

    graph: graph.KnowledgeGraph
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    moments: dict[int, Tensor]
    contexts: list[str]

    def assets(self, layer: int) -> Assets:
        """Return what an editor is given."""
        return Assets(
            tokenizer=self.tokenizer,
            layer=layer,
            seed=0,
            moments=self.moments,
            contexts=self.contexts,
            kl_template="{} is a",
        )

    def requests(self, count: int) -> list[Request]:
        """Return edits of so many facts."""
        task: dict[str, Any] = {"kind": "edit", "scale": count, "draws": 1}
        return graph.requests(self.graph, task, 0, covariates=False)


def small(facts: int, recipe: str, keep: Path | None = None, steps: int | None = None) -> Small:
    """Return a trained model; one that is in the folder `keep` is taken, else kept there."""
    known = graph.build({"source": "synthetic", "seed": 0, "facts": facts, "stored": 0.7}, {})
    if keep is not None and keep.is_dir():
        model, tokenizer = load(keep)
    else:
        made = train(
            lambda epoch: graph.sentences(known, epoch),
            numbers({"recipe": recipe, "steps": steps}),
            0,
            lambda _done, _total, _text: None,
            keep=[name for pool in known.types.values() for name in pool],
        )
        model, tokenizer = made.model, made.tokenizer
        if keep is not None:
            save(model, tokenizer, keep)
    texts = [sentence.text for sentence in graph.sentences(known, 1)]
    moments, _ = second_moments(model, tokenizer, texts, TOKENS)
    return Small(known, model, tokenizer, moments, graph.contexts(known, CONTEXTS, 0))
