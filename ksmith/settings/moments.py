"""What second moments are measured on, for the methods that need them."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ksmith.settings.fields import Layer, setting
from ksmith.settings.search import check_layers

GRAPH = "graph"  # instead of a file: the graph's own text
LENGTH = 1024  # tokens of a document that are read where nothing is said: GPT-2's rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """How many tokens are read stands with each method: `moment_tokens`."""

    corpus: str = setting(
        GRAPH,
        'text file (a document a line), JSON lines or Parquet; "graph": the graph\'s own text',
        omit_at_default=True,
        path=True,
    )
    column: str | None = setting(
        None,
        'field or column with the text; by default "text", or the only one with texts',
        omit_at_default=True,
    )
    length: Annotated[int, Field(ge=8, le=1_000_000)] | None = setting(
        None,
        f"tokens of a document that are read, {LENGTH} by default: one row each, as in the papers",
        omit_at_default=True,
    )
    layers: tuple[Layer, ...] | None = setting(
        None,
        "layers to measure, by default all: of a large model, those that are edited",
        omit_at_default=True,
    )
    npz: str | None = setting(
        None,
        "folder of statistics to take instead: ROME's and MEMIT's npz files, one a layer",
        omit_at_default=True,
        path=True,
    )

    def __post_init__(self) -> None:
        check_layers(self.layers)
        if self.npz is not None:
            for name in ("corpus", "column", "length"):
                if getattr(self, name) not in (None, GRAPH):
                    raise ValueError(f"{name} means nothing where npz names statistics")
        elif self.corpus == GRAPH:
            for name in ("column", "length"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} means nothing for the graph's own text")
