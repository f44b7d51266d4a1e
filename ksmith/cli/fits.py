"""Does the model read a study's questions, in the form that they are put? Asked before it is made.

What is refused here: a template that can't be used, and a user's own questions and answers that
are longer than the model reads. Of a model that the hub names, only what lies in its cache is
asked; where nothing does, its attempt says what is wrong before it fetches the weights.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith.records import StudyError, UserError, canonical

if TYPE_CHECKING:
    from ksmith.graph import KnowledgeGraph
    from ksmith.lm.template import Form
    from ksmith.study import Point, Study

FORM = ("model.template", "model.end", "model.load")  # settings that decide a model's form
Place = Callable[..., str]  # names of settings -> where the first that was given stands


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a study, as far as it decides how long a text is."""

    settings: Mapping[str, Any]
    folder: Path | None  # where its tokenizer is; None where it is trained or not here yet
    named: str  # for people

    @classmethod
    def of(cls, point: "Point") -> "Model":
        """Return the model of a trial."""
        from ksmith.lm import lengths

        settings = point.settings["model"]
        path, name = point.files.get("model.load"), settings.get("load", "")
        if path is None and name:
            folder = lengths.cached(name, settings["revision"])
            return cls(settings, folder, f"the model {name}")
        return cls(settings, Path(path) if path else None, f"the model in {path}")


def check_templates(study: "Study", place: Place) -> None:
    """Open and render each template once, with the tokenizer that it goes with.

    Raises:
        StudyError: what is wrong with those that can't be used.
    """
    wrong: dict[str, None] = {}
    for model in _models(study.points):
        try:
            _form(model)
        except UserError as error:
            wrong[f"{place(*FORM)}: {model.named}: {error}"] = None
    if wrong:
        raise StudyError("\n".join(wrong))


def check_lengths(
    study: "Study", graphs: Sequence[tuple[Any, "KnowledgeGraph"]], place: Place
) -> None:
    """Count the tokens of each question with each of its answers, and of what training says.

    Args:
        study: its trials say which model goes with which graph.
        graphs: settings of graphs of questions and answers, each with the graph.
        place: says where a setting was given.

    Raises:
        StudyError: the texts that a model can't read, and how long they are; or a prompt that
            its template changes.
    """
    wrong: dict[str, None] = {}
    for settings, known in graphs:
        mine = [point for point in study.points if point.settings["graph"] == settings]
        for model in _models(mine):
            try:
                for name, text in _too_long(known, model):
                    wrong.setdefault(f"{place(f'graph.{name}', 'graph.source')}: {text}")
            except UserError as error:
                wrong[f"{place(*FORM)}: {model.named}: {error}"] = None
    if wrong:
        raise StudyError("\n".join(wrong))


def _models(points: Sequence["Point"]) -> list[Model]:
    different = {
        canonical([point.settings["model"], point.files.get("model.load")]): point
        for point in points
    }
    return [Model.of(different[key]) for key in sorted(different)]


def _form(model: Model) -> "Form":
    """Return how the model in a folder is asked; a tokenizer is opened only for a template."""
    from ksmith.lm import template

    said = template.said(model.settings)
    if not said or model.folder is None:
        return template.PLAIN
    return template.form_of(template.opened(model.folder, said, ended=True))


def _too_long(known: "KnowledgeGraph", model: Model) -> Iterator[tuple[str, str]]:
    """Yield the set and what is wrong with some of its texts."""
    from ksmith.graph import qa
    from ksmith.lm import lengths, template

    length = model.settings.get("length")
    if length is not None:
        count, most = lengths.of_recipe(), lengths.TURNS * length
        why = f"a training row has {length} (model.length)"
        found = list(lengths.longer(qa.told(known), count, length, why))
        asked = template.texts(template.PLAIN, qa.asked(known))
        why = f"a prompt has {most} at most"
        yield from found or lengths.longer(asked, lengths.ended(count), most, why)
    elif model.folder is not None:
        form = _form(model)
        asked = template.texts(form, qa.asked(known))
        count = lengths.of_folder(model.folder, special=form.special)
        most = lengths.limit(model.folder)
        if count is not None and most is not None:
            # A tokenizer that is not opened here has an end token, as nearly all have.
            with_end = form.end is not None or not template.said(model.settings)
            count = lengths.ended(count) if with_end else count
            yield from lengths.longer(asked, count, most, f"{model.named} takes {most}")
