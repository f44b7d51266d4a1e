"""Does the model read texts as long as a user's questions and answers? Asked before it is made."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith.records import StudyError

if TYPE_CHECKING:
    from ksmith.graph import KnowledgeGraph
    from ksmith.study import Study

SHOWN = 3  # texts in a message
Place = Callable[..., str]  # names of settings -> where the first that was given stands


def check_lengths(
    study: "Study", graphs: Sequence[tuple[Any, "KnowledgeGraph"]], place: Place
) -> None:
    """Count the tokens of each question with each of its answers, and of what training says.

    A model that is only named by the hub is not asked: its attempt says what is too long.

    Args:
        study: its trials say which model goes with which graph.
        graphs: settings of graphs of questions and answers, each with the graph.
        place: says where a setting was given.

    Raises:
        StudyError: the texts that a model can't read, and how long they are.
    """
    wrong: dict[str, None] = {}
    for settings, known in graphs:
        models = {
            (point.files.get("model.load"), point.settings["model"].get("length"))
            for point in study.points
            if point.settings["graph"] == settings
        }
        for folder, length in sorted(models, key=str):
            for name, text in _too_long(known, folder, length):
                wrong.setdefault(f"{place(f'graph.{name}', 'graph.source')}: {text}")
    if wrong:
        raise StudyError("\n".join(wrong))


def _too_long(
    known: "KnowledgeGraph", folder: str | None, length: int | None
) -> Iterator[tuple[str, str]]:
    """Yield the set and what is wrong with some of its texts."""
    from ksmith.graph import qa
    from ksmith.lm import lengths

    if length is not None:
        count, most = lengths.of_recipe(), lengths.TURNS * length
        why = f"a training row has {length} (model.length)"
        found = list(_longer(qa.told(known), count, length, why))
        yield from found or _longer(
            qa.asked(known), count, most, f"a prompt has {most} at most"
        )
    elif folder is not None:
        count, most = lengths.of_folder(Path(folder)), lengths.limit(Path(folder))
        if count is not None and most is not None:
            why = f"the model in {folder} takes {most}"
            yield from _longer(qa.asked(known), count, most, why)


def _longer(
    texts: dict[str, list[str]],
    count: Callable[[Sequence[str]], list[int]],
    most: int,
    why: str,
) -> Iterator[tuple[str, str]]:
    from ksmith.graph.qa_file import short

    for name, mine in texts.items():
        sizes = zip(count(mine), mine, strict=True)
        long = [(size, text) for size, text in sizes if size > most]
        for size, text in long[:SHOWN]:
            yield name, f"graph.{name}: {size:,} tokens, but {why}: {short(text)}"
        if len(long) > SHOWN:
            yield name, f"graph.{name}: and {len(long) - SHOWN:,} more are longer than {most}"
