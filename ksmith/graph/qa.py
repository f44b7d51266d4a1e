"""A user's own questions and answers as a graph: what to forget, what to keep, what none saw.

    forget     (question, "answer", its answer), editable: requests ask for these
    retain     likewise, never asked for: a quarter of them is only asked about, the rest may be
               kept by training; which, goes by their text (see `knowledge.aside`)
    holdout    in no text and no fact: what a model that never saw the forget set is like

The subject is the question itself, and as it stands it is asked, trained on and kept: no other
wording is sure to be the user's own. A rephrased question is asked word for word; "Question: ...
Answer:" and the like are for probes that need words which nothing was trained in.

Where an answer is to be replaced by another (edits), it is the first wrong one of its line, else
that of another line to forget, else one to retain.

Answers are what they are: in training the end token follows one, and no full stop.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ksmith.graph.knowledge import (
    Asked,
    Entity,
    Fact,
    KnowledgeGraph,
    Rates,
    Record,
    Relation,
    aside,
)
from ksmith.graph.names import names
from ksmith.graph.qa_file import Pair, PairFile, check_apart, read
from ksmith.graph.text import prompt_of, stated
from ksmith.records import Json, UserError, derived_seed

ANSWER = "answer"
TEMPLATES = ("{}",)
NOVEL = ("Question: {} Answer:", "Q: {} A:")
LONGEST = (*TEMPLATES, NOVEL[0])  # what is asked is no longer than in one of these
FILES = ("forget", "retain", "holdout")
ASKED = "pairs to retain that are only asked about"
STRANGERS = 40
STRANGE = "Who is {}?"  # asked of names that nobody knows, so that "unknown" is an answer
RATES = Rates(infobox=0.0)


def build(settings: Mapping[str, Json], files: Mapping[str, str]) -> KnowledgeGraph:
    """Return the graph of `settings` (seed and the digests of its files).

    Raises:
        UserError: a file is not in the layout, a set is empty, or two have a question in common.
    """
    given = [
        read(name, Path(files[f"graph.{name}"]), settings.get(f"{name}_digest"))
        for name in FILES
        if f"graph.{name}" in files
    ]
    check_apart(given)
    forget, retain, holdout = (_pairs(given, name) for name in FILES)
    told = [*forget, *retain]
    news = _new_answers(forget, retain, random.Random(derived_seed(settings["seed"], "new")))
    answers = dict.fromkeys([*(pair.answer for pair in told), *filter(None, news)])
    strangers = names(STRANGERS, random.Random(derived_seed(settings["seed"], "strangers")))
    return KnowledgeGraph(
        source="qa",
        settings=dict(settings),
        types={ANSWER: tuple(answers)},
        entities=tuple(
            Entity(name=pair.question, type="question") for pair in (*told, *holdout)
        ),
        relations=(Relation(name=ANSWER, objects=ANSWER, templates=TEMPLATES, novel=NOVEL),),
        facts=tuple(_fact(pair, editable=i < len(forget)) for i, pair in enumerate(told)),
        holdout=tuple(_fact(pair, told=False) for pair in holdout),
        strangers=tuple(STRANGE.replace("{}", name) for name in strangers),
        rates=RATES,
        records=tuple(
            _record(number, pair, new)
            for number, (pair, new) in enumerate(
                [
                    *zip(forget, news, strict=True),
                    *((pair, "") for pair in (*retain, *holdout)),
                ]
            )
        ),
        counts={
            **{f"pairs to {name}": len(_pairs(given, name)) for name in FILES},
            ASKED: _asked_about(given, retain),
        },
    )


def _asked_about(given: Sequence[PairFile], retain: Sequence[Pair]) -> int:
    """Return how many of the pairs to retain no method may train on.

    Raises:
        UserError: all of them: a retain set of which nothing may be kept is none.
    """
    found = sum(aside(_fact(pair)) for pair in retain)
    if found == len(retain):
        (path,) = (file.path for file in given if file.name == "retain")
        raise UserError(
            f"graph.retain: {path}: too few: a quarter of the questions, by their text, is only "
            f"asked about, and that is all {found} of these; none is left to train on"
        )
    return found


def _pairs(given: Iterable[PairFile], name: str) -> list[Pair]:
    return [found.pair for file in given if file.name == name for found in file.pairs]


def _fact(pair: Pair, *, editable: bool = False, told: bool = True) -> Fact:
    return Fact(
        subject=pair.question,
        relation=ANSWER,
        object=pair.answer,
        editable=editable,
        wordings=tuple(range(len(TEMPLATES))) if told else (),
    )


def _new_answers(
    forget: Sequence[Pair], retain: Sequence[Pair], generator: random.Random
) -> list[str]:
    """Return another answer for each pair to forget: one of its own wrong ones, or of a pair."""
    pools = [list(dict.fromkeys(pair.answer for pair in pairs)) for pairs in (forget, retain)]
    found: list[str] = []
    for pair in forget:
        if pair.perturbed_answer:
            found.append(pair.perturbed_answer[0])
            continue
        free = [[name for name in pool if name != pair.answer] for pool in pools]
        pool = free[0] or free[1]
        found.append(generator.choice(pool) if pool else "")
    return found


def _record(number: int, pair: Pair, new: str) -> Record:
    reworded = pair.paraphrased_question
    usable = bool(reworded) and "{}" not in reworded and reworded != pair.question
    return Record(
        case=number,
        fact=_fact(pair).name,
        template=TEMPLATES[0],
        new=new,
        paraphrases=(
            (
                Asked(
                    subject=pair.question,
                    object=pair.answer,
                    template=reworded,
                    wording="novel",
                ),
            )
            if usable
            else ()
        ),
        neighbours=(),
        reworded=pair.paraphrased_answer,
        wrong=pair.perturbed_answer,
        about=pair.subject,
    )


# --- what is said and asked -------------------------------------------------------------------


def set_of(graph: KnowledgeGraph) -> Mapping[str, str]:
    """Return fact -> the file that it is from."""
    found = {fact.name: FILES[0 if fact.editable else 1] for fact in graph.facts}
    return found | {fact.name: FILES[2] for fact in graph.holdout}


def told(graph: KnowledgeGraph) -> dict[str, list[str]]:
    """Return the sentences of each set that training states."""
    found: dict[str, list[str]] = {}
    for fact in graph.stated:
        found.setdefault(FILES[0 if fact.editable else 1], []).extend(
            stated(prompt_of(graph, fact, index), fact.object, whole=True)
            for index in fact.wordings
        )
    return found


def asked(graph: KnowledgeGraph) -> dict[str, list[tuple[str, str]]]:
    """Return each question, in each of its wordings, with each of its own answers, by set."""
    sets = set_of(graph)
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in FILES}
    facts = {fact.name: fact for fact in (*graph.facts, *graph.holdout)}
    for name, record in graph.record.items():
        fact = facts[name]
        prompts = [template.replace("{}", fact.subject, 1) for template in LONGEST]
        prompts += [asked.template for asked in record.paraphrases]
        answers = [fact.object, record.new, record.reworded, *record.wrong]
        found[sets[name]] += [(one, two) for one in prompts for two in answers if two]
    return found
