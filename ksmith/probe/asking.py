"""What all probes share: the graph, the settings, and how a question is put together."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ksmith.graph import Fact, KnowledgeGraph
from ksmith.graph.statements import worded
from ksmith.probe.aliases import Aliases
from ksmith.probe.draw import Part
from ksmith.probe.options import Layout, Pools, choice, others
from ksmith.records import (
    Context,
    Json,
    Question,
    Request,
    Set,
    Statement,
    Wording,
    derived_seed,
    fact_name,
)

CANDIDATES = 24  # objects of a type to rank an answer among


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is right, as text; None is no answer."""

    after: str | None
    before: str | None
    rival: str | None  # what `success` compares the right answer with


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a question is put, where that is not plainly."""

    hop: int = 0
    ranked: bool = True  # among a sample of the objects of the type
    options: Sequence[str] = ()  # of a multiple choice, as displayed
    context: Context = ""
    before: str = ""  # a sentence before the prompt


PLAIN = Form()


@dataclass(frozen=True, kw_only=True)
class Asking:
    """The context of all questions of a trial."""

    graph: KnowledgeGraph
    settings: Mapping[str, Json]
    seed: int
    draws: int
    # Fact -> the one training wording in which it is scored, in whatever draw: the others stay
    # free for asking whether it was known.
    wording: dict[str, str] = field(default_factory=dict[str, str])
    pools: Pools
    aliases: Aliases
    layout: Layout  # of the options in one part of the trial
    unrelated: dict[int, list[Fact]] = field(default_factory=dict[int, list[Fact]])

    @classmethod
    def of(
        cls,
        graph: KnowledgeGraph,
        requests: Sequence[Request],
        settings: Mapping[str, Json],
        seed: int,
    ) -> "Asking":
        """Return the context; requests come first in saying how their facts are worded."""
        return cls(
            graph=graph,
            settings=settings,
            seed=seed,
            draws=len({request.draw for request in requests}),
            wording={request.fact: request.template for request in requests},
            pools=Pools(graph, seed),
            aliases=Aliases(graph),
            layout=Layout(seed, 0),
        )

    def random(self, *names: str | int) -> random.Random:
        """Return the generator called `names`."""
        return random.Random(derived_seed(self.seed, "probe", *names))

    def worded(self, statement: Statement) -> Statement:
        """Return the statement in the training wording that this fact is always scored in."""
        if statement.wording != "seen":
            return statement
        return _in(statement, self._template(statement, "seen"), "seen")

    def stated(self, subject: str, relation: str, answer: str) -> Statement:
        """Return the fact in a wording that it was trained in; if in none, in one of others."""
        fact = self.graph.fact.get(fact_name(subject, relation))
        wording: Wording = "seen" if fact is not None and fact.stored else "unseen"
        statement = Statement(
            subject=subject, relation=relation, object=answer, template="{}", wording=wording
        )
        return _in(statement, self._template(statement, wording), wording)

    def _template(self, statement: Statement, wording: Wording) -> str:
        name = statement.fact
        if name not in self.wording:
            templates = worded(self.graph, statement.subject, statement.relation)[wording]
            self.wording[name] = self.random("wording", name).choice(templates)
        return self.wording[name]

    def held_out(self, statement: Statement) -> Statement | None:
        """Return the fact in words that training never shows, or at least never of this fact."""
        templates = worded(self.graph, statement.subject, statement.relation)
        used = self.wording.get(statement.fact)
        kinds: tuple[Wording, ...] = ("novel", "unseen")
        for wording in kinds:
            free = [template for template in templates[wording] if template != used]
            if free:
                template = self.random("held out", statement.fact).choice(free)
                return _in(statement, template, wording)
        return None

    def in_words(self, statement: Statement) -> list[Statement]:
        """Return the statement as it is and, where there are such, in words never seen."""
        other = self.held_out(statement)
        return [statement] if other is None else [statement, other]

    def rival(self, statement: Statement, *names: str | int) -> str | None:
        """Return an object of the type that is not true here, or None where there is none."""
        true = {statement.object}
        true.update(self.graph.world.objects(statement.relation, statement.subject))
        pool = self.pools.shuffled(statement.relation)
        found = others(pool, true, 1, self.random("rival", statement.relation, *names))
        return found[0] if found else None

    def options(
        self, part: Part, probe: str, statement: Statement, answers: Answers
    ) -> tuple[str, ...]:
        """Return the options of a multiple choice as displayed; none where there is no choice."""
        both = (answers.after, answers.before)
        four = choice(self.pools, part.draw, statement, both, self.seed)
        return tuple(four[role] for role in self.layout.order(probe)) if four else ()

    def question(  # noqa: PLR0913 - one argument a thing that probes differ in
        self,
        part: Part,
        request: Request,
        probe: str,
        number: int | str,
        *,
        statement: Statement,
        of: Set,
        answers: Answers,
        form: Form = PLAIN,
    ) -> Question:
        """Return one question about a request.

        Candidates are the right answer, its rival, the old answer and the options; where
        `form.ranked`, then a sample of the objects of the type, the same for every question
        about the relation.
        """
        names = [answers.after, answers.rival, answers.before, *form.options]
        texts = list(dict.fromkeys(name for name in names if name is not None))
        of_type: tuple[int, ...] = ()
        if form.ranked:
            texts, of_type = self._among(statement.relation, texts)
        place = {text: index for index, text in enumerate(texts)}
        fact = self.graph.fact.get(statement.fact)
        entity = self.graph.entity.get(statement.subject)
        prompt = statement.prompt
        return Question(
            id=f"{request.id}/{probe}/{number}",
            draw=request.draw,
            request=request.id,
            probe=probe,
            set=of,
            prompt=f"{form.before} {prompt}" if form.before else prompt,
            candidates=tuple(texts),
            right=None if answers.after is None else place[answers.after],
            right_before=None if answers.before is None else place[answers.before],
            rival=None if answers.rival is None else place[answers.rival],
            subject=statement.subject,
            fact=statement.fact,
            aliases=self._aliases(statement, answers, answers.after),
            aliases_before=self._aliases(statement, answers, answers.before),
            level=entity.level if entity else None,
            hop=form.hop,
            stored=fact is not None and fact.stored,
            wording=statement.wording,
            generate=bool(self.settings["generate"]),
            of_type=of_type,
            options=tuple(place[name] for name in form.options),
            distance=part.draw.distance.get(statement.subject),
            domain=entity.domain if entity else None,
            context=form.context,
        )

    def _aliases(
        self, statement: Statement, answers: Answers, one: str | None
    ) -> tuple[str, ...]:
        names = (statement.subject, answers.after, answers.before, answers.rival)
        others = {name for name in names if name is not None} - {one}
        return self.aliases.of(statement.relation, one, others)

    def _among(self, relation: str, texts: list[str]) -> tuple[list[str], tuple[int, ...]]:
        """Return `texts` filled up with objects of the type, and which of all are of it."""
        kinds = self.pools.members(relation)
        of_type = [i for i, text in enumerate(texts) if text in kinds]
        room = int(self.settings.get("candidates", CANDIDATES)) - len(of_type)
        have = set(texts)
        for name in self.pools.shuffled(relation):
            if room <= 0:
                break
            if name not in have:
                of_type.append(len(texts))
                texts.append(name)
                room -= 1
        return texts, tuple(of_type)


def _in(statement: Statement, template: str, wording: Wording) -> Statement:
    """Return the statement in other words; `replace` takes three times as long."""
    return Statement(
        subject=statement.subject,
        relation=statement.relation,
        object=statement.object,
        template=template,
        wording=wording,
    )
