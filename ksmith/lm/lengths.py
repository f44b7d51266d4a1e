"""How many tokens a text has, told without a model and without torch: before anything is run."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, pre_tokenizers

TURNS = 4  # a model that is trained takes prompts of so many training rows

Count = Callable[[Sequence[str]], list[int]]  # texts -> the tokens of each, with a start token
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")


def cutter() -> pre_tokenizers.PreTokenizer:
    """Return what cuts a text into the words of a whole-word tokenizer.

    A word is letters and digits, or one other character, together with the space before it.
    """
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
            pre_tokenizers.Split(Regex(r"▁?\w+|▁?[^\w▁]"), "isolated"),
        ]
    )


def of_recipe() -> Count:
    """Return what counts for a model that will be trained, whose words are not known yet."""
    cut = cutter()
    return lambda texts: [1 + len(cut.pre_tokenize_str(text)) for text in texts]


def of_folder(folder: Path) -> Count | None:
    """Return what counts for the model in `folder`; None where its tokenizer can't be read."""
    try:
        backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # the library's own: whoever opens the model says what is wrong
        return None
    backend.no_padding()
    backend.no_truncation()
    return lambda texts: [len(one.ids) for one in backend.encode_batch(list(texts))]


def limit(folder: Path) -> int | None:
    """Return how many tokens the model in `folder` takes; None where its files do not say."""
    known = _read(folder / "config.json"), _read(folder / "tokenizer_config.json")
    found = [*(known[0].get(name) for name in POSITIONS), known[1].get("model_max_length")]
    return min((int(n) for n in found if isinstance(n, int | float) and n > 0), default=None)


def _read(path: Path) -> dict[str, object]:
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return made if isinstance(made, dict) else {}
