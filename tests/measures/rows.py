"""Questions with made-up answers, by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from ksmith.measures import frame, metrics, steps
from ksmith.records import Answer, Metric, Question

Said = Mapping[str, tuple[float, int]]  # candidate -> (sum of log-probabilities, tokens)


@dataclass
class Trial:
    """Questions, and what was said to them at each step."""

    questions: list[Question] = field(default_factory=list[Question])
    said: dict[int, list[Answer]] = field(default_factory=lambda: {0: [], 1: []})

    def ask(
        self,
        probe: str,
        candidates: Sequence[str],
        *,
        request: str = "0.0",
        right: str | None = "new",
        before: str | None = "old",
        rival: str | None = "old",
        **more: Any,
    ) -> str:
        """Add one question and return its id."""
        texts = list(candidates)
        number = len(self.questions)
        values: dict[str, Any] = {
            "id": f"{request}/{probe}/{number:05d}",
            "draw": int(request.split(".")[0]) if request else 0,
            "request": request,
            "probe": probe,
            "set": "target",
            "prompt": f"prompt {number}",
            "candidates": tuple(texts),
            "right": None if right is None else texts.index(right),
            "right_before": None if before is None else texts.index(before),
            "rival": None if rival is None else texts.index(rival),
            "subject": f"subject of {request}",
            "fact": f"fact of {request}",
        }
        self.questions.append(Question(**(values | more)))
        return self.questions[-1].id

    def answer(
        self,
        step: int,
        question: str,
        said: Said,
        best: str = "",
        text: str | None = None,
        hits: Sequence[int] = (),
        predicted: Sequence[int] = (),
    ) -> None:
        """Add the answer to a question; the tokens of `best` are all the argmax."""
        asked = next(q for q in self.questions if q.id == question)
        self.said[step].append(
            Answer(
                question=question,
                logp=tuple(said[c][0] for c in asked.candidates),
                tokens=tuple(said[c][1] for c in asked.candidates),
                argmax=tuple(c == best for c in asked.candidates),
                hits=tuple(hits),
                predicted=tuple(predicted),
                generated=text,
            )
        )

    def add(self, probe: str, said: Said, *, step: int = 1, **more: Any) -> str:
        """Ask and answer at once."""
        best, text = more.pop("best", ""), more.pop("text", None)
        hits, predicted = more.pop("hits", ()), more.pop("predicted", ())
        question = self.ask(probe, list(said), **more)
        self.answer(step, question, said, best, text, hits, predicted)
        return question

    def rows(self, *of: int) -> pl.DataFrame:
        """Return the rows of the steps `of`; of both without any."""
        frames = [frame(self.questions, self.said[step], step) for step in of or (0, 1)]
        return frames[0] if len(frames) == 1 else steps(*frames)

    def metrics(self, *of: int) -> dict[tuple[int, str], Metric]:
        """Return (step, name in MLflow) -> metric."""
        return {(m.step, m.name): m for m in metrics(self.rows(*of), 0)}


def rate(values: Mapping[str, Sequence[float]], probe: str = "efficacy") -> Trial:
    """Return a trial: request -> whether each of its questions succeeds, at step 1."""
    trial = Trial()
    for request, successes in values.items():
        for success in successes:
            trial.add(
                probe, {"new": (-1, 1), "old": (-2 if success else -0.5, 1)}, request=request
            )
    return trial
