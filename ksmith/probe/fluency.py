"""Fluency: text that is sampled after prompts about the subject (CounterFact's GE)."""

from collections.abc import Iterator

from ksmith.graph import generation_prompts
from ksmith.probe.asking import Asking
from ksmith.probe.draw import Part
from ksmith.probe.options import level_of
from ksmith.records import Question, derived_seed
from ksmith.settings.probe import TEXT_TOKENS, TEXTS


def fluency(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield at most `settings.texts` questions a request, whose answers are sampled texts.

    What is drawn for a text is the same before the update and after it, whatever the method.
    """
    count = int(asking.settings.get("texts", TEXTS))
    tokens = int(asking.settings.get("text_tokens", TEXT_TOKENS))
    for request in part.requests:
        for number, prompt in enumerate(generation_prompts(asking.graph, request)[:count]):
            yield Question(
                id=f"{request.id}/fluency/{number}",
                draw=request.draw,
                request=request.id,
                probe="fluency",
                set="open",
                prompt=prompt,
                candidates=(),
                right=None,
                right_before=None,
                rival=None,
                subject=asking.graph.whose(request.fact, request.subject),
                fact=request.fact,
                level=level_of(asking.graph, request.subject),
                generate=False,
                sampled=tokens,
                seed=derived_seed(asking.seed, "fluency", request.fact, number),
            )
