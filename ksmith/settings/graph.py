"""Where the facts come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field

from ksmith.records import Json
from ksmith.settings.fields import REQUIRED, Count, Seed, Share, setting

Domain = Literal["places", "companies", "creatures", "schools"]
DOMAINS: tuple[str, ...] = get_args(Domain)
# How often the words of a domain have changed: raise it when they do. It is part of the version of
# graphs that are about the domain, so that others stay what they are.
REWORDED = {"companies": 1, "creatures": 1}
LEVELS = ("root", "intermediate", "leaf")
MINED, NONE = "mined", "none"  # what graph.rules may be instead of a list of rules


def _listed(value: Any) -> Any:
    """Return one word, such as "mined", as the list that it stands for."""
    return (value,) if isinstance(value, str) else value


Rules = Annotated[tuple[str, ...], BeforeValidator(_listed)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """A generated hierarchy whose entailments are known exactly."""

    version: ClassVar[int] = 1  # raise it when a graph of the same settings changes
    task_levels: ClassVar[tuple[str, ...]] = LEVELS

    seed: Seed = setting(0, "draws names, links and wordings")
    facts: Annotated[int, Field(ge=100, le=1_000_000)] = setting(
        1000, "facts that training states, about"
    )
    stored: Share = setting(0.7, "share of the derived facts that the training text states")
    domains: tuple[Domain, ...] = setting(
        ("places",),
        "what it is about: as many facts of each, of one schema, in its own words",
        omit_at_default=True,
    )
    several: bool = setting(
        False,
        "add relations with many objects (contains, wrote) and what follows from authors",
        omit_at_default=True,
    )
    aliases: Share = setting(
        0.0, "share of what is in the hierarchy that has another name", omit_at_default=True
    )

    holdout: Share = setting(
        0.0,
        "share of the facts that can be asked for that no text states, no rule uses and no "
        "request asks for: true, and seen by no model",
        omit_at_default=True,
    )

    def __post_init__(self) -> None:
        if self.holdout == 1:
            raise ValueError("holdout = 1: must be < 1: nothing would be left to ask for")
        if not self.domains:
            raise ValueError(f"domains is empty; there are {', '.join(DOMAINS)}")
        if len(set(self.domains)) < len(self.domains):
            raise ValueError(f"domains names one twice: {', '.join(self.domains)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterFact:
    """Real records in CounterFact's public format."""

    version: ClassVar[int] = 3
    task_levels: ClassVar[tuple[str, ...]] = ()

    path: str = setting(REQUIRED, "the JSON file with the records", path=True)
    records: Count = setting(300, "how many records to take")
    seed: Seed = setting(0, "draws the records and the wordings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Zsre:
    """Real questions in the layout of MEND's zsRE file."""

    version: ClassVar[int] = 1
    task_levels: ClassVar[tuple[str, ...]] = ()

    path: str = setting(REQUIRED, "the JSON file with the records", path=True)
    records: Count = setting(
        200, "how many to take, those of the questions with most subjects first"
    )
    seed: Seed = setting(0, "draws the records and the wordings")
    prefix: bool = setting(
        False,
        'ask locality questions with their "nq question: ", as MEMIT\'s code does',
        omit_at_default=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Geography:
    """Real places, for models that know the world; needs the extra `geography`."""

    version: ClassVar[int] = 1
    task_levels: ClassVar[tuple[str, ...]] = LEVELS

    countries: Annotated[int, Field(ge=10, le=250)] = setting(
        150, "how many countries, the most populous"
    )
    cities: Annotated[int, Field(ge=10, le=30_000)] = setting(
        1000, "how many cities, about: capitals, then the largest"
    )
    seed: Seed = setting(0, "draws the wordings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Triples:
    """A user's own facts, whose levels, rules and functional relations are found."""

    version: ClassVar[int] = 3
    task_levels: ClassVar[tuple[str, ...]] = LEVELS

    path: str = setting(REQUIRED, "CSV, TSV, JSONL or GraphML with the facts", path=True)
    templates: str | None = setting(
        None, "TOML or JSON: relation to its wordings, each with one {}", path=True
    )
    facts: Count = setting(1000, "facts to take, at most: a connected sample of the file")
    seed: Seed = setting(0, "draws the sample and the wordings")
    subject_column: str | None = setting(None, "header of the subjects; by default it is found")
    relation_column: str | None = setting(None, "header of the relations")
    object_column: str | None = setting(None, "header of the objects")
    levels: Literal["depth", "centrality", "none"] = setting(
        "depth", "depth in a hierarchy, thirds by centrality, or none"
    )
    hierarchy: str | None = setting(
        None, "relation from child to parent; by default the most tree-like one"
    )
    centrality: Literal["degree", "pagerank"] = setting("degree", "what makes a node central")
    rules: Rules = setting((MINED,), '"mined", "none", or rules as `ksmith graph rules` prints')
    min_support: Count = setting(10, "facts that a mined rule predicts rightly, at least")
    min_confidence: Share = setting(0.8, "PCA confidence of a mined rule, at least")
    functional: tuple[str, ...] = setting((), "relations that are declared to have one object")
    functional_share: Share = setting(
        0.99, "share of a relation's subjects with one object that makes it functional"
    )
    min_objects: Count = setting(3, "objects that a relation needs for its facts to be edited")
    longest: Annotated[int, Field(ge=1, le=100)] = setting(
        12, "words and marks in a name; facts with longer names are left out"
    )

    def __post_init__(self) -> None:
        for word in (MINED, NONE):
            if word in self.rules and len(self.rules) > 1:
                raise ValueError(f'rules is a list of rules, or "{word}" alone')
        if self.hierarchy is not None and self.levels != "depth":
            raise ValueError(f'hierarchy means nothing where levels is "{self.levels}"')
        if self.centrality != "degree" and self.levels != "centrality":
            raise ValueError(f'centrality means nothing where levels is "{self.levels}"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Qa:
    """A user's own questions and answers, in TOFU's layout: one JSON object a line."""

    version: ClassVar[int] = 3
    task_levels: ClassVar[tuple[str, ...]] = ()

    forget: str = setting(REQUIRED, "JSONL: question and answer, to forget or edit", path=True)
    retain: str = setting(REQUIRED, "JSONL: question and answer, to keep", path=True)
    holdout: str | None = setting(
        None, "JSONL: question and answer, of the same kind, which no model saw", path=True
    )
    seed: Seed = setting(0, "draws the new answers of edits")


def aliased(graph: Mapping[str, Json]) -> bool:
    """Return whether what a graph of these settings is about can have aliases."""
    return graph["source"] == "geography" or bool(graph.get("aliases"))


Source = (
    type[Synthetic]
    | type[CounterFact]
    | type[Geography]
    | type[Triples]
    | type[Zsre]
    | type[Qa]
)
GRAPHS: dict[str, Source] = {
    "synthetic": Synthetic,
    "geography": Geography,
    "counterfact": CounterFact,
    "triples": Triples,
    "zsre": Zsre,
    "qa": Qa,
}
