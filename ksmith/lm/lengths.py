"""How many tokens a text has, told without a model and without torch: before anything is run."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, pre_tokenizers

from ksmith.graph.qa_file import short

SHOWN = 3  # texts in a message
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


def of_folder(folder: Path, *, special: bool = True) -> Count | None:
    """Return what counts for the model in `folder`; None where its tokenizer can't be read.

    With the tokens that the tokenizer adds at the ends of a text, unless not `special`.
    """
    try:
        backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # the library's own: whoever opens the model says what is wrong
        return None
    backend.no_padding()
    backend.no_truncation()

    def count(texts: Sequence[str]) -> list[int]:
        rows = backend.encode_batch(list(texts), add_special_tokens=special)
        return [len(row.ids) for row in rows]

    return count


def ended(count: Count) -> Count:
    """Return what counts the token that ends an answer, too."""
    return lambda texts: [size + 1 for size in count(texts)]


def longer(
    texts: Mapping[str, Sequence[str]], count: Count, most: int, why: str
) -> Iterator[tuple[str, str]]:
    """Yield what is too long, as the set that it is of and a line about it.

    Args:
        texts: of each set of questions and answers.
        count: how many tokens texts have.
        most: tokens that there may be.
        why: and who says so.
    """
    for name, mine in texts.items():
        sizes = zip(count(mine), mine, strict=True)
        long = [(size, text) for size, text in sizes if size > most]
        for size, text in long[:SHOWN]:
            yield name, f"graph.{name}: {size:,} tokens, but {why}: {short(text)}"
        if len(long) > SHOWN:
            yield name, f"graph.{name}: and {len(long) - SHOWN:,} more are longer than {most}"


def cached(name: str, revision: str) -> Path | None:
    """Return the folder of the hub's cache that holds a model's words; None where none does."""
    from huggingface_hub import try_to_load_from_cache

    files = [
        try_to_load_from_cache(name, file, revision=revision)
        for file in ("config.json", "tokenizer.json")
    ]
    folders = {Path(file).parent for file in files if isinstance(file, str)}
    return folders.pop() if len(folders) == 1 and all(files) else None


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
