"""Does a model mean what its letters say? Found out before any update, and kept with the model.

Each question is put four times, its options moved on by one place each time. A model that reads
them picks the same option four times, under four letters; one that likes a letter does not.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from transformers import PreTrainedTokenizerBase

from ksmith.lm.text import encode
from ksmith.measures.share import share
from ksmith.probe.letters import LETTERS, turned
from ksmith.records import Answer, Json, Metric, Question, UserError

ITEMS = 60  # questions; each is four prompts
PASSING = 0.8  # of the questions have to be answered alike four times (ours); luck gives 1/64

Ask = Callable[[Sequence[Question]], list[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Whether letters can be asked of a model, and what that was decided by."""

    passes: bool
    why: str
    rate: float | None = None  # of the questions with the same option picked four times
    entropy: float | None = None  # bits, of all letters picked: 2 where each is as frequent
    accuracy: float | None = None  # of all picks: the right option
    n: int = 0  # questions

    @classmethod
    def of(cls, info: Json) -> "Letters":
        """Return what a model's asset says; one of before there was a check says nothing."""
        return cls(**info) if info else cls(passes=False, why="the model was never checked")

    def to_json(self) -> Json:
        """Return it for the outcome of the model."""
        return asdict(self)

    def metrics(self) -> list[Metric]:
        """Return rows for the model's metrics.json; none where nothing was asked."""
        if self.rate is None or self.entropy is None or self.accuracy is None:
            return []
        hits = round(self.rate * self.n)
        _, low, high = share([True] * hits + [False] * (self.n - hits))
        consistency = _metric("consistency", self.rate, self.n)
        return [
            replace(consistency, low=low, high=high),
            _metric("letter_entropy", self.entropy, self.n),
            _metric("accuracy", self.accuracy, self.n),
        ]


def _metric(measure: str, value: float, n: int) -> Metric:
    return Metric(step=0, probe="letters", measure=measure, value=value, n=n)


def check(
    questions: Sequence[Question], tokenizer: PreTrainedTokenizerBase, ask: Ask
) -> Letters:
    """Return whether letters can be asked of the model behind `ask`."""
    if not questions:
        return Letters(passes=False, why="the graph has no four objects to choose among")
    try:
        if not _apart(tokenizer):
            return Letters(passes=False, why="the tokenizer does not tell A, B, C and D apart")
        return judged(questions, ask)
    except UserError as error:  # a prompt longer than the model takes
        return Letters(passes=False, why=str(error))


def _apart(tokenizer: PreTrainedTokenizerBase) -> bool:
    batch = encode(tokenizer, ["Answer:"] * len(LETTERS), LETTERS)
    rows = zip(batch.ids.tolist(), batch.answer.tolist(), strict=True)
    said = {tuple(i for i, own in zip(ids, answer, strict=True) if own) for ids, answer in rows}
    return len(said) == len(LETTERS)


def judged(questions: Sequence[Question], ask: Ask) -> Letters:
    """Return how often the same option is picked, whatever letter it has.

    A tie between letters is no pick.
    """
    forms = [form for question in questions for form in turned(question)]
    picks = [_pick(answer) for answer in ask(forms)]
    size = len(LETTERS)
    same = right = 0
    for i in range(len(questions)):
        mine = picks[i * size : (i + 1) * size]
        right += sum(
            pick is not None and pick == form.right
            for pick, form in zip(mine, forms[i * size : (i + 1) * size], strict=True)
        )
        # Moved on by `turn`, the option under letter p is the one that stood at p + turn.
        meant = {None if p is None else (p + turn) % size for turn, p in enumerate(mine)}
        same += len(meant) == 1 and None not in meant
    rate = same / len(questions)
    told = f"the same option under all four letters in {same} of {len(questions)} questions"
    wanted = f"{PASSING:.0%} have to be"
    return Letters(
        passes=rate >= PASSING,
        why=told if rate >= PASSING else f"{told}; {wanted}",
        rate=rate,
        entropy=entropy([pick for pick in picks if pick is not None]),
        accuracy=right / len(picks),
        n=len(questions),
    )


def _pick(answer: Answer) -> int | None:
    """Return the place of the most probable letter, per token; None where two are level."""
    mean = [logp / tokens for logp, tokens in zip(answer.logp, answer.tokens, strict=True)]
    best = max(mean)
    return mean.index(best) if mean.count(best) == 1 else None


def entropy(picks: Sequence[int]) -> float:
    """Return the entropy of how often each was picked, in bits; 0 where nothing was."""
    shares = [count / len(picks) for count in Counter(picks).values()]
    return abs(sum(share * math.log2(share) for share in shares))
