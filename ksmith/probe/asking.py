"""What all probes share: the graph, the settings, and how a question is put together."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ksmith.graph import Change, KnowledgeGraph, objects
from ksmith.graph.statements import worded
from ksmith.records import Json, Question, Request, Set, Statement, derived_seed

CANDIDATES = 24  # objects of a type to rank an answer among


def level_of(graph: KnowledgeGraph, subject: str) -> str | None:
    """Return the level of the one that is asked about; None outside the hierarchy."""
    entity = graph.entity.get(subject)
    return entity.level if entity else None


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Requests that are made together, and what they change."""

    number: int
    requests: tuple[Request, ...]
    change: Change


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What is right, as text; None is no answer."""

    after: str | None
    before: str | None
    rival: str | None  # what `success` compares the right answer with


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
    samples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

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
        )

    def random(self, *names: str | int) -> random.Random:
        """Return the generator called `names`."""
        return random.Random(derived_seed(self.seed, "probe", *names))

    def worded(self, statement: Statement) -> Statement:
        """Return the statement in the training wording that this fact is always scored in."""
        if statement.wording != "seen":
            return statement
        template = self.wording.setdefault(statement.fact, statement.template)
        return replace(statement, template=template)

    def stated(self, subject: str, relation: str, answer: str) -> Statement:
        """Return the fact in a wording that it was trained in; if in none, in one of others."""
        templates = worded(self.graph, subject, relation)
        wording = "seen" if templates["seen"] else "unseen"
        statement = Statement(
            subject=subject, relation=relation, object=answer, template="{}", wording=wording
        )
        template = self.random("wording", statement.fact).choice(templates[wording])
        return self.worded(replace(statement, template=template))

    def rival(self, relation: str, answer: str, *names: str | int) -> str | None:
        """Return another object of the relation's type, or None where there is none."""
        others = [name for name in objects(self.graph, relation) if name != answer]
        return self.random("rival", relation, *names).choice(others) if others else None

    def question(  # noqa: PLR0913 - one argument a thing that probes differ in
        self,
        request: Request,
        probe: str,
        number: int,
        *,
        statement: Statement,
        of: Set,
        answers: Answers,
        hop: int = 0,
        ranked: bool = True,
    ) -> Question:
        """Return one question about a request.

        Candidates are the right answer, its rival and the old answer; where `ranked`, then a
        sample of the objects of the type, the same for every question about the relation.
        """
        names = [answers.after, answers.rival, answers.before]
        texts = list(dict.fromkeys(name for name in names if name is not None))
        of_type: tuple[int, ...] = ()
        if ranked:
            texts, of_type = self._among(statement.relation, texts)
        place = {text: index for index, text in enumerate(texts)}
        fact = self.graph.fact.get(statement.fact)
        return Question(
            id=f"{request.id}/{probe}/{number}",
            draw=request.draw,
            request=request.id,
            probe=probe,
            set=of,
            prompt=statement.prompt,
            candidates=tuple(texts),
            right=None if answers.after is None else place[answers.after],
            right_before=None if answers.before is None else place[answers.before],
            rival=None if answers.rival is None else place[answers.rival],
            subject=statement.subject,
            fact=statement.fact,
            level=level_of(self.graph, statement.subject),
            hop=hop,
            stored=fact is not None and fact.stored,
            wording=statement.wording,
            generate=bool(self.settings["generate"]),
            of_type=of_type,
        )

    def _among(self, relation: str, texts: list[str]) -> tuple[list[str], tuple[int, ...]]:
        """Return `texts` filled up with objects of the type, and which of all are of it."""
        cap = int(self.settings.get("candidates", CANDIDATES))
        if relation not in self.samples:
            names = objects(self.graph, relation)
            self.samples[relation] = self.random("candidates", relation).sample(
                names, len(names)
            )
        shuffled = self.samples[relation]
        kinds = set(shuffled)
        room = cap - sum(text in kinds for text in texts)
        more = [name for name in shuffled if name not in texts][: max(room, 0)]
        texts = [*texts, *more]
        return texts, tuple(i for i, text in enumerate(texts) if text in kinds)
