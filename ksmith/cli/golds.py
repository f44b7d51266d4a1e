"""Can gold models be compared with the model under study? Asked before anything is stored.

What can be told from configurations and vocabularies is; the rest, the shapes of all weights and
how texts are cut, is what the run sees when it opens the models.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith.cli.fits import Model, Place
from ksmith.records import StudyError

if TYPE_CHECKING:
    from ksmith.study import Point, Study

# What a configuration calls its sizes; positions are none, for in most models they are no weights.
SIZES = (
    *("vocab_size", "hidden_size", "n_embd", "d_model", "num_hidden_layers", "n_layer"),
    *("n_layers", "num_attention_heads", "n_head", "num_key_value_heads", "head_dim"),
    *("intermediate_size", "n_inner", "d_ff"),
)
SAME = "a gold model is the same one, trained again"


def check_golds(study: "Study", place: Place) -> None:
    """Compare each folder of `model.gold` with the model, or where that is not here, the first.

    Raises:
        StudyError: which folders can't be compared, and by what.
    """
    wrong: dict[str, None] = {}
    seen: set[tuple[Path, ...]] = set()
    for point in study.points:
        folders = _folders(point)
        if folders in seen:
            continue
        seen.add(folders)
        for other in folders[1:]:
            if said := _apart(folders[0], other):
                wrong[f"{place('model.gold')}: model.gold: {said}"] = None
    if wrong:
        raise StudyError("\n".join(wrong))


def _folders(point: "Point") -> tuple[Path, ...]:
    golds = [Path(path) for name, path in point.files.items() if name.startswith("gold.")]
    base = Model.of(point).folder if golds else None
    return (base, *golds) if base else tuple(golds)


def _apart(own: Path, other: Path) -> str:
    """Return what tells two folders apart that should hold one architecture; "" where nothing."""
    mine, theirs = _config(own), _config(other)
    for name in ("model_type", *SIZES):
        pair = mine.get(name), theirs.get(name)
        if None not in pair and pair[0] != pair[1]:  # what one leaves out is its default
            return f"{other} has {name} {pair[1]!r}, {own} has {pair[0]!r}: {SAME}"
    words = _words(own), _words(other)
    if None not in words and words[0] != words[1]:
        return (
            f"the tokenizer in {other} is another than that in {own}: their answers can't be "
            "compared token by token"
        )
    return ""


def _config(folder: Path) -> dict[str, Any]:
    """Return a model's configuration; nothing where it can't be read, as its attempt will say."""
    try:
        made = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return made if isinstance(made, dict) else {}


def _words(folder: Path) -> dict[str, int] | None:
    """Return the vocabulary with what was added to it; None where it can't be read."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    except Exception:  # the library's own: whoever opens the model says what is wrong
        return None
