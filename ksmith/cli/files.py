"""Which study a word on the command line means: a file, a stored study, one that ships."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ksmith.cli.shell import Lab, did_you_mean, note
from ksmith.records import UserError

if TYPE_CHECKING:
    from ksmith.store import Store

PACKAGE = Path(__file__).parents[1]
# In a wheel the studies lie in the package; in a checkout beside it.
FOLDERS = (PACKAGE / "studies", PACKAGE.parent / "studies")
ALIKE, SLIP = 0.6, 0.85  # how near a name has to be to be proposed, up to 1


@dataclass(frozen=True, slots=True)
class Meant:
    """A study file to read, or the name of a stored study."""

    file: Path | None = None
    name: str = ""


def shipped() -> dict[str, Path]:
    """Return the study files that come with ksmith, by name."""
    return {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.toml"))}


def meant(lab: Lab, word: str, overrides: tuple[str, ...] = ()) -> Meant:
    """Return what `word` names: an existing file, else a stored study, else a shipped file.

    Raises:
        UserError: none of the three, or overrides of a study that is stored.
    """
    path = Path(word)
    if _is_file(path):
        return Meant(file=path)
    looks_like_a_file = path.suffix == ".toml" or len(path.parts) > 1
    if looks_like_a_file:
        _refuse_what_is_no_file(path)
    stored = [] if looks_like_a_file else stored_names(lab)
    if word in stored:
        if overrides:
            raise UserError(
                f"--set changes a study file, and {word!r} is a stored study: name the file"
            )
        return Meant(name=word)
    own = shipped()
    found = own.get(path.stem if looks_like_a_file else word)
    if found is not None:
        note(f"{word} is not here: using ksmith's own {found}")
        return Meant(file=found)
    raise UserError(_unknown(word, stored, list(own), looks_like_a_file))


def study_file(lab: Lab, word: str) -> Path:
    """Return the file that `word` names, as `meant` does, but never a stored study."""
    path = Path(word)
    found = shipped().get(path.stem) if path.suffix in ("", ".toml") else None
    is_file = _is_file(path)
    if is_file or found is None:
        if not is_file:
            _refuse_what_is_no_file(path)
            raise UserError(_unknown(word, [], list(shipped()), True))
        return path
    note(f"{word} is not here: using ksmith's own {found}")
    return found


# os.path, not pathlib: a name too long for a file is a name that no file has, not an error.


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def _refuse_what_is_no_file(path: Path) -> None:
    """Raise UserError where something other than a file is there: never open a pipe."""
    if os.path.lexists(path):
        kinds = [(os.path.isdir, "a folder"), (os.path.exists, "no regular file")]
        kind = next((kind for holds, kind in kinds if holds(path)), "a link to nothing")
        raise UserError(f"{path} is {kind}, not a study file")


def stored_names(lab: Lab) -> list[str]:
    """Return the names of the lab's studies; none where there is no lab."""
    if not lab.there:
        return []
    with lab.open() as store:
        return [row.name for row in store.studies()]


def _unknown(word: str, stored: list[str], own: list[str], is_file: bool) -> str:
    what = f"no study file {word!r}" if is_file else f"no study {word!r}, stored or as a file"
    path = Path(word)
    is_path = path.suffix == ".toml" or len(path.parts) > 1
    what += ": there is no such file" if is_path else ""
    # Who gives a path means a file: only a slip of a letter means one of ours.
    alike = SLIP if is_path else ALIKE
    near = did_you_mean(path.stem if is_file else word, [*stored, *own], alike)
    there = f"stored: {', '.join(stored)}; " if stored else ""
    return f"{what}; {near}{there}ksmith's own: {', '.join(own)}"


def only_study(store: "Store", name: str | None) -> list[str]:
    """Return the name given, checked, or every study's name."""
    return [store.study(name).name] if name else [row.name for row in store.studies()]
