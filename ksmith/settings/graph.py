"""Where the facts come from."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from ksmith.settings.fields import REQUIRED, Count, Seed, Share, setting

Domain = Literal["places", "companies", "creatures", "schools"]
DOMAINS: tuple[str, ...] = get_args(Domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """A generated hierarchy whose entailments are known exactly."""

    version: ClassVar[int] = 1  # raise it when a graph of the same settings changes
    levels: ClassVar[tuple[str, ...]] = ("root", "intermediate", "leaf")

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

    def __post_init__(self) -> None:
        if not self.domains:
            raise ValueError(f"domains is empty; there are {', '.join(DOMAINS)}")
        if len(set(self.domains)) < len(self.domains):
            raise ValueError(f"domains names one twice: {', '.join(self.domains)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterFact:
    """Real records in CounterFact's public format."""

    version: ClassVar[int] = 1
    levels: ClassVar[tuple[str, ...]] = ()

    path: str = setting(REQUIRED, "the JSON file with the records", path=True)
    records: Count = setting(300, "how many records to take")
    seed: Seed = setting(0, "draws the records and the wordings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Geography:
    """Real places, for models that know the world; needs the extra `geography`."""

    version: ClassVar[int] = 1
    levels: ClassVar[tuple[str, ...]] = ("root", "intermediate", "leaf")

    countries: Annotated[int, Field(ge=10, le=250)] = setting(
        150, "how many countries, the most populous"
    )
    cities: Annotated[int, Field(ge=10, le=30_000)] = setting(
        1000, "how many cities, about: capitals, then the largest"
    )
    seed: Seed = setting(0, "draws the wordings")


GRAPHS: dict[str, type[Synthetic] | type[CounterFact] | type[Geography]] = {
    "synthetic": Synthetic,
    "geography": Geography,
    "counterfact": CounterFact,
}
