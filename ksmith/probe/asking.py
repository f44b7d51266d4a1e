"""What all probes share: the graph, the settings, and how a question is put together."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ksmith.graph import Change, Fact, KnowledgeGraph
from ksmith.graph.chance import Chance
from ksmith.graph.statements import worded
from ksmith.probe.aliases import Aliases
from ksmith.probe.draw import Part
from ksmith.probe.options import NO_OPTIONS, Layout, Options, Pools, choice, others
from ksmith.records import (
    Context,
    Json,
    Question,
    Request,
    Set,
    Statement,
    Wording,
    fact_name,
)

CANDIDATES = 24  # objects of a type to rank an answer among


class Answers(NamedTuple):
    """What is right, as text; None is no answer."""

    after: str | None
    before: str | None
    rival: str | None  # what `success` compares the right answer with


class Form(NamedTuple):
    """How a question is put, where that is not plainly."""

    hop: int = 0
    ranked: bool = True  # among a sample of the objects of the type
    options: Options = NO_OPTIONS
    context: Context = ""
    before: str = ""  # a sentence before the prompt


class Beside(Protocol):
    """What finds facts beside a request, which it should leave as they are."""

    def __call__(
        self,
        graph: KnowledgeGraph,
        request: Request,
        n: int,
        seed: int,
        exclude: Collection[str] = (),
        change: Change | None = None,
    ) -> list[Statement]:
        """Return at most `n`; none is in `exclude`, nor changed by `change`."""
        ...


PLAIN = Form()
UNRANKED = Form(ranked=False)


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
    # Fact -> the wording that training never shows, or never of this fact, in which it is asked.
    held: dict[str, tuple[str, Wording] | None] = field(
        default_factory=dict[str, tuple[str, Wording] | None]
    )
    pools: Pools
    aliases: Aliases
    layout: Layout  # of the options in one part of the trial
    unrelated: dict[int, list[Fact]] = field(default_factory=dict[int, list[Fact]])
    # Fact that no request changes -> its wordings, each with the four that there are to choose.
    kept: dict[str, list[tuple[Statement, Sequence[str]]]] = field(
        default_factory=dict[str, list[tuple[Statement, Sequence[str]]]]
    )

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

    def chance(self, *names: str | int) -> Chance:
        """Return the draws called `names`."""
        return Chance(self.seed, "probe", *names)

    def worded(self, statement: Statement) -> Statement:
        """Return the statement in the training wording that this fact is always scored in."""
        if statement.wording != "seen":
            return statement
        name, subject, relation = statement.fact, statement.subject, statement.relation
        return _in(statement, self._template(name, subject, relation, "seen"), "seen")

    def beside(self, of: Beside, part: Part, request: Request, n: int) -> list[Statement]:
        """Return at most `n` facts of a kind, of which no request of the draw changes any."""
        touched, change = part.draw.change.touched, part.draw.alone(request)
        return of(self.graph, request, n, self.seed, exclude=touched, change=change)

    def stated(self, subject: str, relation: str, answer: str) -> Statement:
        """Return the fact in a wording that it was trained in; if in none, in one of others."""
        name = fact_name(subject, relation)
        fact = self.graph.fact.get(name)
        wording: Wording = "seen" if fact is not None and fact.stored else "unseen"
        return Statement(
            subject=subject,
            relation=relation,
            object=answer,
            template=self._template(name, subject, relation, wording),
            wording=wording,
        )

    def _template(self, name: str, subject: str, relation: str, wording: Wording) -> str:
        found = self.wording.get(name)
        if found is None:
            templates = worded(self.graph, subject, relation)[wording]
            found = self.wording[name] = self.chance("wording", name).choice(templates)
        return found

    def in_words(self, statement: Statement) -> list[Statement]:
        """Return the statement as it is and, where there are such, in words held out.

        That are words that training never shows, or at least never of this fact.
        """
        name = statement.fact
        if name not in self.held:
            self.held[name] = self._held_out(name, statement)
        other = self.held[name]
        return [statement] if other is None else [statement, _in(statement, *other)]

    def _held_out(self, name: str, statement: Statement) -> tuple[str, Wording] | None:
        templates = worded(self.graph, statement.subject, statement.relation)
        used = self.wording.get(name)
        kinds: tuple[Wording, ...] = ("novel", "unseen")
        for wording in kinds:
            free = [template for template in templates[wording] if template != used]
            if free:
                return self.chance("held out", name).choice(free), wording
        return None

    def rival(self, statement: Statement, *names: str | int) -> str | None:
        """Return an object of the type that is not true here, or None where there is none."""
        true = {statement.object}
        true.update(self.graph.world.objects(statement.relation, statement.subject))
        pool = self.pools.shuffled(statement.relation)
        found = others(pool, true, 1, self.chance("rival", statement.relation, *names))
        return found[0] if found else None

    def options(
        self, part: Part, probe: str, statement: Statement, answers: Answers
    ) -> Options:
        """Return the options of a multiple choice; none where there is no choice."""
        both = (answers.after, answers.before)
        four = choice(self.pools, part.draw, statement, both, self.seed)
        return self.layout.laid(probe, four)

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
        (after, before, rival), options = answers, form.options
        texts: list[str] = []
        for name in (after, rival, before, *options.names):
            if name is not None and name not in texts:
                texts.append(name)
        name = statement.fact
        of_type: tuple[int, ...] = ()
        if form.ranked:
            if request.others and name == request.fact:  # how alike they are is measured
                texts += [target for target in request.targets if target not in texts]
            of_type = self._among(statement.relation, texts)
        place = texts.index  # what is looked for stands among the first
        fact = self.graph.fact.get(name)
        entity = self.graph.entity.get(statement.subject)
        prompt = statement.prompt
        aliases, aliases_before = self._aliases(statement, answers)
        return Question(
            id=f"{request.id}/{probe}/{number}",
            draw=request.draw,
            request=request.id,
            probe=probe,
            set=of,
            prompt=f"{form.before} {prompt}" if form.before else prompt,
            candidates=tuple(texts),
            right=None if after is None else place(after),
            right_before=None if before is None else place(before),
            rival=None if rival is None else place(rival),
            subject=self.graph.whose(name, statement.subject),
            fact=name,
            aliases=aliases,
            aliases_before=aliases_before,
            level=entity.level if entity else None,
            hop=form.hop,
            stored=fact is not None and fact.stored,
            wording=statement.wording,
            generate=bool(self.settings["generate"]),
            of_type=of_type,
            options=tuple([place(options.names[role]) for role in options.order]),
            distance=part.draw.distance.get(statement.subject),
            domain=entity.domain if entity else None,
            context=form.context,
        )

    def _aliases(
        self, statement: Statement, answers: Answers
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return those of the right answer after the update, and of that before it."""
        if not self.aliases.there:
            return (), ()
        names = {name for name in (statement.subject, *answers) if name is not None}
        of, relation = self.aliases.of, statement.relation
        after, before = answers.after, answers.before
        return of(relation, after, names - {after}), of(relation, before, names - {before})

    def _among(self, relation: str, texts: list[str]) -> tuple[int, ...]:
        """Return which of `texts` are of the type, after filling them up with objects of it."""
        kinds, given = self.pools.members(relation), len(texts)
        of_type = [i for i, text in enumerate(texts) if text in kinds]
        room = max(0, self.settings.get("candidates", CANDIDATES) - len(of_type))
        # Of these, no more can be there already than there are texts.
        first = self.pools.shuffled(relation)[: room + given]
        texts += [name for name in first if name not in texts][:room]
        return (*of_type, *range(given, len(texts)))


def _in(statement: Statement, template: str, wording: Wording) -> Statement:
    """Return the statement in other words; `replace` takes three times as long."""
    return Statement(
        subject=statement.subject,
        relation=statement.relation,
        object=statement.object,
        template=template,
        wording=wording,
    )
