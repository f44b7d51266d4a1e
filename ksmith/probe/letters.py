"""Letters: a multiple choice with its options spelled out, answered by A, B, C or D.

Scored like any other question, the letters being the candidates. Small models mostly cannot do
it: they say one letter whatever it stands for. `turned` asks one question four times, each time
with the options moved on by one place; a model that means what it says picks the same option.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ksmith.records import Question

LETTERS = ("A", "B", "C", "D")
STATEMENTS = "Which statement is true?"  # where options are whole statements


def lettered(questions: Iterable[Question]) -> Iterator[Question]:
    """Yield the letter form of every question that has options, as probe "letters".

    Its id is that of the question, then `/letters`, so that the two can be joined.
    """
    for question in questions:
        if question.options:
            yield _asked(question, [question.candidates[i] for i in question.options])


def turned(question: Question) -> list[Question]:
    """Return the letter form four times, with the options moved on by 0 to 3 places."""
    options = [question.candidates[i] for i in question.options]
    return [
        replace(made, id=f"{made.id}/{turn}")
        for turn in range(len(options))
        for made in (_asked(question, options[turn:] + options[:turn]),)
    ]


def _asked(question: Question, options: Sequence[str]) -> Question:
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True)]

    def place(index: int | None) -> int | None:
        text = None if index is None else question.candidates[index]
        return options.index(text) if text in options else None

    return replace(
        question,
        id=f"{question.id}/letters",
        probe="letters",
        prompt="\n".join([question.prompt or STATEMENTS, *lines, "Answer:"]),
        candidates=LETTERS,
        right=place(question.right),
        right_before=place(question.right_before),
        rival=place(question.rival),
        generate=False,
        of_type=(),
        options=tuple(range(len(LETTERS))),
    )
