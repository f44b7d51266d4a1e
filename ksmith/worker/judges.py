"""What was written about forget, retain and holdout sets, read by models once it is all there.

By the model before the update, for its perplexity, and by those that a study names
(`probe.judge_*`): of a row of memory.parquet they see the prompt, the answer and the text, and
never which model wrote it. Each different text is read once. A judge stays open while its worker
has the same model under study, off the device but while it reads.
"""

from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from ksmith.lm import judges
from ksmith.lm.judges import Judge, Read
from ksmith.lm.written import perplexities
from ksmith.records import UserError, digest, file_digest
from ksmith.settings.judges import judge_files, wrong
from ksmith.settings.probe import JUDGES
from ksmith.worker.job import Job
from ksmith.worker.opening import Base

if TYPE_CHECKING:
    import polars as pl

X = TypeVar("X", bound=Hashable)
Y = TypeVar("Y")
NLI, SIMILARITY, ENTITIES = JUDGES
FORGET = "forget"


def read(
    job: Job, base: Base, rows: "pl.DataFrame"
) -> tuple["pl.DataFrame", dict[str, dict[str, Any]]]:
    """Return rows of memory.parquet with what is said of their texts, and what read them.

    The rows come back as they are where nothing was written.
    """
    import polars as pl

    from ksmith.measures import judged

    at = [i for i, text in enumerate(rows["generated"]) if text is not None]
    if not at:
        return rows, {}
    texts = Texts.of(job, base, rows[at])
    columns: dict[str, list[Any]] = {"surprise": texts.perplexities()}
    columns |= texts.contradictions() | texts.covered()
    if texts.judges:
        columns["cut"] = texts.cut
    made = pl.DataFrame(
        {name: _spread(columns.get(name), at, rows.height) for name in judged.SCHEMA},
        judged.SCHEMA,
    )
    return rows.hstack(made).with_columns(pl.col("surprise").fill_nan(None)), texts.told


def _spread(values: Sequence[Any] | None, at: Sequence[int], size: int) -> list[Any]:
    """Return `values` in the places `at` of `size`, null elsewhere."""
    found: list[Any] = [None] * size
    for i, value in zip(at, values or [], strict=bool(values)):
        found[i] = value
    return found


@dataclass(slots=True)
class Texts:
    """What was written, with what it is held against."""

    job: Job
    base: Base
    judges: tuple[str, ...]  # those that the study names
    sets: list[str]
    prompts: list[str]
    answers: list[str]
    texts: list[str]
    cut: list[bool]  # a judge read the beginning alone
    told: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    @classmethod
    def of(cls, job: Job, base: Base, rows: "pl.DataFrame") -> "Texts":
        """Return the texts of rows of memory.parquet."""
        probe = job.spec.recipe["probe"]
        columns = [rows[name].to_list() for name in ("set", "prompt", "answer", "generated")]
        named = tuple(name for name in JUDGES if name in probe)
        return cls(job, base, named, *columns, cut=[False] * rows.height)

    def perplexities(self) -> list[float]:
        """Return those of the texts under the model before the update; nan where there is none."""
        rows = list(zip(self.prompts, self.texts, strict=True))

        def of(different: Sequence[tuple[str, str]]) -> list[float]:
            prompts, texts = ([row[i] for row in different] for i in range(2))
            return perplexities(self.base.model, self.base.tokenizer, prompts, texts)

        return _once(rows, of)

    # --- contradiction ------------------------------------------------------------------------

    def contradictions(self) -> dict[str, list[Any]]:
        """Return what the judge says of text and answer; nothing where there is none.

        The text is the premise on the forget set, the answer elsewhere.
        """
        if NLI not in self.judges:
            return {}
        pairs: list[tuple[str, str]] = []
        for row in zip(self.sets, self.prompts, self.answers, self.texts, strict=True):
            answer, text = self._whole(row[1], row[2]), self._whole(row[1], row[3])
            pairs.append((text, answer) if row[0] == FORGET else (answer, text))
        with self._judge(NLI) as judge:
            found = self._read(
                NLI, pairs, lambda some: judges.classified(judge, some, self._tell(NLI))
            )
        return {"nli": [label.strip().casefold() for label in found]}

    def _whole(self, prompt: str, answer: str) -> str:
        """Return what a judge reads of an answer.

        An answer to a question stands alone, as published. One that ends a sentence says nothing
        alone: "Oslo" and "Bergen" contradict each other where they end the same one.
        """
        alone = self.base.graph.source == "qa"
        return answer if alone else f"{prompt} {answer}".strip()

    # --- entities -----------------------------------------------------------------------------

    def covered(self) -> dict[str, list[Any]]:
        """Return entities of answers and texts, and how many are in both; nothing without judge."""
        from ksmith.measures import judged

        if SIMILARITY not in self.judges:
            return {}
        by, found = self._found()
        pairs = [
            tuple(judged.kept(named, prompt) for named in (found[answer], found[text]))
            for prompt, answer, text in zip(self.prompts, self.answers, self.texts, strict=True)
        ]
        different = list(dict.fromkeys(name for both in pairs for one in both for name in one))
        place = {name: i for i, name in enumerate(different)}
        with self._judge(SIMILARITY) as judge:
            made = judges.vectors(judge, different, self._tell(SIMILARITY))
        cut = {name for name, was in zip(different, made.cut, strict=True) if was}
        self._count(SIMILARITY, len(different), len(cut))
        self._mark([any(name in cut for one in both for name in one) for both in pairs])
        vectors = made.said.numpy()
        covered = [
            judged.coverage(
                vectors[[place[name] for name in written]]
                @ vectors[[place[name] for name in own]].T
            )
            for own, written in pairs
        ]
        return {
            "entities": [own for own, _ in pairs],
            "written": [written for _, written in pairs],
            "coverage": covered,
            "by": [by] * len(pairs),
        }

    def _found(self) -> tuple[str, dict[str, list[str]]]:
        """Return what finds entities, and those of each different answer and text."""
        from ksmith.measures import judged
        from ksmith.measures.entities import Named, Rare

        every = list(dict.fromkeys([*self.answers, *self.texts]))
        graph = self.base.graph
        if ENTITIES in self.judges:
            with self._judge(ENTITIES) as judge:
                made = judges.entities(judge, every, self._tell(ENTITIES))
            cut = {text for text, was in zip(every, made.cut, strict=True) if was}
            self._count(ENTITIES, len(every), len(cut))
            rows = zip(self.answers, self.texts, strict=True)
            self._mark([bool(cut & {*both}) for both in rows])
            return "model", dict(zip(every, made.said, strict=True))
        if graph.source == "qa":
            rare = Rare([fact.object for fact in (*graph.facts, *graph.holdout)])
            return judged.WORDS, {text: rare.found(text) for text in every}
        named = Named(names_of(graph))
        return "names", {text: named.found(text) for text in every}

    # --- reading ------------------------------------------------------------------------------

    @contextmanager
    def _judge(self, role: str) -> Generator[Judge]:
        """Open a judge, as it was when the study was made, and put it on the device meanwhile.

        Raises:
            UserError: the folder holds other files now.
        """
        content = self.job.spec.recipe["probe"][role]
        warm = self.job.warm.setdefault("judges", {})
        if (role, content) not in warm:
            warm[role, content] = self._opened(role, content)
        judge: Judge = warm[role, content]
        torch.nn.Module.to(judge.model, self.job.device)
        try:
            yield judge
        finally:
            torch.nn.Module.to(judge.model, "cpu")

    def _opened(self, role: str, content: str) -> Judge:
        """Return a judge; `content` is its digest, or NAME@COMMIT."""
        name, at, commit = content.partition("@")
        files = self.job.spec.files
        folder = judges.fetched(name, commit) if at else Path(files[f"probe.{role}"])
        if at and (reason := wrong(role, folder)):
            raise UserError(f"probe.{role} = {content}: {reason}")
        found = digest({one: file_digest(path) for one, path in judge_files(folder).items()})
        if not at and found != content:
            raise UserError(
                f"probe.{role}: the model in {folder} changed since the study was made (its "
                "digest is another): put it back, or make the study anew"
            )
        if at:
            self.job.warm.setdefault("fetched judges", {})[content] = found
        return judges.open_judge(role, folder)

    def _tell(self, role: str) -> Callable[[int, int], None]:
        what = role.removeprefix("judge_")
        return lambda done, total: self.job.progress(done, total, f"texts read ({what})")

    def _read(
        self, role: str, rows: Sequence[X], how: Callable[[Sequence[X]], Read[list[Y]]]
    ) -> list[Y]:
        """Return what a judge says of each row, the different ones read once."""
        different = list(dict.fromkeys(rows))
        made = how(different)
        self._count(role, len(different), sum(made.cut))
        both = dict(zip(different, zip(made.said, made.cut, strict=True), strict=True))
        self._mark([both[row][1] for row in rows])
        return [both[row][0] for row in rows]

    def _count(self, role: str, texts: int, cut: int) -> None:
        content = self.job.spec.recipe["probe"][role]
        fetched: str | None = self.job.warm.get("fetched judges", {}).get(content)
        who = {"digest": content} if fetched is None else {"digest": fetched, "source": content}
        self.told[role] = {**who, "texts": texts, "cut": cut}

    def _mark(self, cut: Sequence[bool]) -> None:
        self.cut = [a or b for a, b in zip(self.cut, cut, strict=True)]


def _once(rows: Sequence[X], how: Callable[[Sequence[X]], Sequence[Y]]) -> list[Y]:
    """Return `how` of each row, the different ones asked once."""
    different = list(dict.fromkeys(rows))
    found = dict(zip(different, how(different), strict=True))
    return [found[row] for row in rows]


def names_of(graph: Any) -> Iterator[tuple[str, str]]:
    """Yield how all that a graph is about may be written, and what is then meant.

    Names before aliases; an alias of several stands for itself, since nobody knows who is meant.
    """
    for pool in graph.types.values():
        yield from ((name, name) for name in pool)
    yield from ((entity.name, entity.name) for entity in graph.entities)
    by = [(alias, entity.name) for entity in graph.entities for alias in entity.aliases]
    owners = Counter(alias for alias, _ in set(by))
    yield from ((alias, name if owners[alias] == 1 else alias) for alias, name in by)
