"""Letters: a multiple choice with its options spelled out, answered by A, B, C or D.

Scored like any other question, the letters being the candidates. Small models mostly cannot do
it: they say one letter whatever it stands for. `turned` asks one question four times, each time
with the options moved on by one place; a model that means what it says picks the same option.
"""

import random
from collections.abc import Iterable, Iterator, Sequence

from ksmith.graph import Fact, KnowledgeGraph
from ksmith.probe.draw import Draw
from ksmith.probe.options import Layout, Pools, choice
from ksmith.records import Question, Statement, derived_seed

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
    forms = [_asked(question, options[turn:] + options[:turn]) for turn in range(len(options))]
    return [form._replace(id=f"{form.id}/{turn}") for turn, form in enumerate(forms)]


def _asked(question: Question, options: Sequence[str]) -> Question:
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True)]

    def place(index: int | None) -> int | None:
        text = None if index is None else question.candidates[index]
        return options.index(text) if text in options else None

    return question._replace(
        id=f"{question.id}/letters",
        probe="letters",
        prompt="\n".join([question.prompt or STATEMENTS, *lines, "Answer:"]),
        candidates=LETTERS,
        right=place(question.right),
        right_before=place(question.right_before),
        rival=place(question.rival),
        aliases=(),
        aliases_before=(),
        generate=False,
        of_type=(),
        options=tuple(range(len(LETTERS))),
    )


def sampled(graph: KnowledgeGraph, n: int, seed: int) -> Iterator[Question]:
    """Yield at most `n` multiple choices about stated facts of a graph that nothing changes."""
    pools, draw = Pools(graph, seed), Draw(graph=graph, number=0, requests=())
    layout = Layout(seed, 0)
    generator = random.Random(derived_seed(seed, "letters"))
    left = n
    for fact in generator.sample(graph.stated, len(graph.stated)):
        template = graph.relation[fact.relation].templates[generator.choice(fact.wordings)]
        statement = Statement(
            subject=fact.subject, relation=fact.relation, object=fact.object, template=template
        )
        one = graph.world.objects(fact.relation, fact.subject) == [fact.object]
        four = choice(pools, draw, statement, [fact.object], seed) if one and left else []
        if four:
            left -= 1
            yield _plain(fact, statement, [four[role] for role in layout.order("letters")])


def _plain(fact: Fact, statement: Statement, options: Sequence[str]) -> Question:
    right = options.index(fact.object)
    return Question(
        id=fact.name,
        draw=0,
        request="",
        probe="letters",
        set="unrelated",
        prompt=statement.prompt,
        candidates=tuple(options),
        right=right,
        right_before=right,
        rival=None,
        subject=fact.subject,
        fact=fact.name,
        stored=True,
        options=tuple(range(len(options))),
    )
