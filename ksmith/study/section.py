"""One section of a trial's settings: how it is resolved, and what that makes of it."""

from dataclasses import dataclass, field
from typing import Any

from ksmith.records import Json, canonical
from ksmith.settings import declared, fields
from ksmith.study.check import START
from ksmith.study.expand import Flat
from ksmith.study.files import Files
from ksmith.study.mistakes import Mistakes, Where


@dataclass(frozen=True, slots=True)
class Resolved:
    """One part of a trial's settings, the files that it stands for, and its JSON text."""

    value: Json
    files: dict[str, str]
    text: str

    def copy(self) -> Json:
        """Return the settings, for a trial to keep."""
        return dict(self.value) if isinstance(self.value, dict) else self.value


NOTHING = Resolved({}, {}, "{}")


@dataclass(slots=True)
class Desk:
    """What all sections of a study are resolved with: its files, and where mistakes go."""

    start: Where  # of what is missing
    mistakes: Mistakes
    notes: list[str]
    complete: bool  # say what is missing
    files: Files = field(init=False)

    def __post_init__(self) -> None:
        """Open no file yet."""
        self.files = Files(self.mistakes)

    def filled(
        self, settings: type, own: Flat, section: str, needed: str = ""
    ) -> dict[str, Json] | None:
        """Return the values with defaults, or None after a mistake."""
        items = declared(settings)
        given = {name: value.value for name, value in own.items() if name in items}
        missing = [name for name, item in items.items() if item.required and name not in given]
        for name in missing if self.complete else []:
            because = f": {needed}" if needed else ""
            self.mistakes.add(self.start, f"{section}.{name} is missing{because}")
        if missing:
            return None
        try:
            made = fields.build(settings, given, section)
        except ValueError as error:  # values that do not go together: the class's own check
            leaf = str(error).split()[0]
            self.mistakes.add(self.where(own, leaf), f"{section}.{error}")
            return None
        values = {name: fields.plain(items[name], getattr(made, name)) for name in items}
        return {
            name: value
            for name, value in values.items()
            if not (
                items[name].omit_at_default
                and value == fields.plain(items[name], items[name].default)
            )
        }

    def where(self, own: Flat, leaf: str) -> Where:
        """Return where a setting was given, the start where it was not."""
        return own[leaf].where if leaf in own and own[leaf].where is not START else self.start


def resolved(table: dict[str, Json], files: dict[str, str] | None = None) -> Resolved:
    """Return a section with this table."""
    return Resolved(table, files or {}, canonical(table))


def value(flat: Flat, name: str, default: Any) -> Any:
    """Return the value of a setting, `default` where it was not given."""
    return flat[name].value if name in flat else default
