"""Where the facts come from."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from ksmith.settings.fields import REQUIRED, Count, Seed, Share, setting


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterFact:
    """Real records in CounterFact's public format."""

    version: ClassVar[int] = 1
    levels: ClassVar[tuple[str, ...]] = ()

    path: str = setting(REQUIRED, "the JSON file with the records", path=True)
    records: Count = setting(300, "how many records to take")
    seed: Seed = setting(0, "draws the records and the wordings")


GRAPHS: dict[str, type[Synthetic] | type[CounterFact]] = {
    "synthetic": Synthetic,
    "counterfact": CounterFact,
}
