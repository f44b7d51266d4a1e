"""The language model under study: one that is trained on the graph, or one that exists."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ksmith.settings.fields import REQUIRED, Count, Positive, Seed, setting
from ksmith.settings.recipes import RECIPES
from ksmith.settings.words import show

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
NONE, CHAT, AUTO = "none", "chat", "auto"
PROMPT, ANSWER = "{prompt}", "{answer}"
ASKED_IN = ("template", "system", "date", "end")  # what decides the form of a row
DATE = "2024-07-26"  # what Llama 3's own templates fall back on


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
    template: str = setting(
        NONE,
        'how prompts are put: "none", as plain text; "chat", as the user\'s turn in the '
        'tokenizer\'s own template; or a text such as "Question: {prompt}\\nAnswer:"',
        omit_at_default=True,
    )
    system: str = setting("", "the system's turn of a chat", omit_at_default=True)
    date: str = setting(
        DATE, "the day that a chat template which tells one is told", omit_at_default=True
    )
    end: str = setting(
        AUTO,
        'the token that ends an answer of graph.source "qa", learnt and scored as its last: '
        '"auto", the one that the chat template closes an answer with, else the tokenizer\'s end '
        'token; "none"; or such a token, as "<|eot_id|>"',
        omit_at_default=True,
    )

    def __post_init__(self) -> None:
        if self.template not in (NONE, CHAT):
            _check_form(self.template)
        if self.template != CHAT:
            for name, given in (("system", self.system), ("date", self.date != DATE)):
                if given:
                    raise ValueError(
                        f"{name} = {show(getattr(self, name))}: is of a chat: say template = "
                        f'"{CHAT}", or leave {name} out'
                    )
        if not self.end:
            raise ValueError('end = "": must be "auto", "none" or a token')
        if not _is_day(self.date):
            raise ValueError(f"date = {show(self.date)}: must be a day, such as {show(DATE)}")


def _check_form(text: str) -> None:
    """Raise ValueError unless a prompt stands in `text` once, and an answer at its end or not."""
    given = f"template = {show(text)}"
    if text.count(PROMPT) != 1:
        raise ValueError(
            f'{given}: must be "{NONE}", "{CHAT}" or a text with {PROMPT} in it, once'
        )
    if ANSWER in text.removesuffix(ANSWER):
        raise ValueError(f"{given}: {ANSWER} must stand at the end, or be left out")
    if text.removesuffix(ANSWER) == text and text.endswith(" "):
        raise ValueError(f"{given}: ends in a space, and the answer brings its own")


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def model_files(folder: Path) -> list[Path]:
    """Return the files that a model in a folder is: configuration, tokenizer and weights.

    None, where there is no configuration or no weights.
    """
    weights = sorted(folder.glob("*.safetensors"))
    others = [folder / name for name in ("config.json", *TOKENIZER_FILES)]
    if not weights or not others[0].is_file():
        return []
    return [path for path in [*others, *weights] if path.is_file()]
