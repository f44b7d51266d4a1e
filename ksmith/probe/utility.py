"""Utility: sentences that were never trained on, as text."""

from collections.abc import Iterator
from math import ceil

from ksmith.graph import held_out
from ksmith.probe.asking import Asking
from ksmith.probe.draw import Part
from ksmith.records import Question

LEAST = 5  # sentences a draw


def utility(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield held-out sentences, each the only candidate after an empty prompt.

    `settings.sentences` are shared out among the draws, at least 5 for each: every draw is
    another model, and what counts is each sentence's loss beside the one before.
    """
    if not part.first:
        return
    draw = part.draw
    pool = held_out(asking.graph, asking.settings["sentences"], asking.seed)
    share = max(LEAST, ceil(len(pool) / asking.draws))
    drawn = asking.chance("utility", draw.number).sample(pool, share)
    for number, sentence in enumerate(drawn):
        yield Question(
            id=f"{draw.number}/utility/{number}",
            draw=draw.number,
            request="",
            probe="utility",
            set="unrelated",
            prompt="",
            candidates=(sentence,),
            right=0,
            right_before=0,
            rival=None,
            subject="",
            fact=sentence,
            wording="unseen",
            generate=False,
        )
