"""The language model under study: one that is trained on the graph, or one that exists."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ksmith.settings.fields import REQUIRED, Count, Positive, Seed, setting
from ksmith.settings.recipes import RECIPES

TOKENIZER_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A small model trained on the graph's text. None: the number of `settings/recipes.py`."""

    version: ClassVar[int] = 2  # raise it when a model of the same settings changes

    recipe: str = setting(
        "tiny", "the row of sizes and steps to start from", choices=tuple(RECIPES)
    )
    seed: Seed = setting(0, "first weights and order of the sentences")
    mechanism: Literal["planted", "plain"] = setting(
        "planted", "planted: early layers see few tokens, so that facts sit in early MLPs"
    )
    steps: Count | None = setting(None, "training steps")
    width: Annotated[int, Field(ge=16, le=65536)] | None = setting(None, "d_model")
    layers: Annotated[int, Field(ge=1, le=256)] | None = setting(None, "blocks")
    rows: Annotated[int, Field(ge=1, le=4096)] | None = setting(None, "packed rows in a batch")
    length: Annotated[int, Field(ge=16, le=8192)] | None = setting(
        None, "tokens in a packed row; a longer sentence is refused"
    )
    lr: Positive | None = setting(None, "step size of Muon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A model in transformers' format: a name on the hub, or a folder. Only safetensors."""

    version: ClassVar[int] = 1  # raise it when its recall or its trace is measured otherwise

    load: str = setting(REQUIRED, "hub name or folder", path=True)
    revision: str = setting("main", "commit, tag or branch on the hub")
    dtype: Literal["float32", "bfloat16", "float16"] = setting("float32", "of the weights")
    gold: tuple[str, ...] = setting(
        (),
        "folders of the same model, retrained without what is to be forgotten (or on what is "
        "changed), to which the one update of task.draws = 1 is held; with several, their "
        "distance from each other is the margin",
        path=True,
        omit_at_default=True,
    )


def model_files(folder: Path) -> list[Path]:
    """Return the files that a model in a folder is: configuration, tokenizer and weights.

    None, where there is no configuration or no weights.
    """
    weights = sorted(folder.glob("*.safetensors"))
    others = [folder / name for name in ("config.json", *TOKENIZER_FILES)]
    if not weights or not others[0].is_file():
        return []
    return [path for path in [*others, *weights] if path.is_file()]
