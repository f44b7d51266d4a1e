"""The files that a study names: found, read once, known by their content."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ksmith.records import digest, file_digest
from ksmith.settings.model import model_files
from ksmith.settings.words import show
from ksmith.study.check import Value
from ksmith.study.mistakes import Mistakes, Where


@dataclass(slots=True)
class Files:
    """What was read so far; a file that cannot be used is noted as a mistake."""

    mistakes: Mistakes
    _digests: dict[Path, str] = field(default_factory=dict[Path, str])
    # (setting, file): read to the end, and found to be what it should.
    _texts: set[tuple[str, Path]] = field(default_factory=set[tuple[str, Path]])

    def path(self, given: Value, name: str) -> Path | None:
        """Return the absolute path, or None where there can't be such a path."""
        try:
            if given.value and "\0" not in given.value:
                return (given.folder / Path(given.value).expanduser()).resolve()
        except (OSError, RuntimeError):  # a loop of links; ~ of a user who is not there
            pass
        message = f"{name} = {show(given.value)}: must name a file or a folder"
        self.mistakes.add(given.where, message)
        return None

    def data(self, given: Value, name: str) -> Path | None:
        """Return the file of a setting, digested, or None after a mistake."""
        path = self.path(given, name)
        if path is None:
            return None
        try:
            reason = "" if path.is_file() else "is no file" if path.exists() else "no such file"
            if not reason:  # never open what is no file: a pipe would wait for ever
                self.digest(path)
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
        if reason:
            self.mistakes.add(given.where, f"{name} = {show(given.value)}: {reason} ({path})")
        return None if reason else path

    def digest(self, path: Path) -> str:
        """Return the digest of a file; it may raise OSError."""
        if path not in self._digests:
            self._digests[path] = file_digest(path)
        return self._digests[path]

    def model(self, folder: Path, where: Where, name: str = "model.load") -> str:
        """Return one digest over what a model is: configuration, weights and tokenizer."""
        files = model_files(folder)
        if not files:
            message = f"{name}: {folder} holds no config.json with a *.safetensors beside it"
            self.mistakes.add(where, message)
            return ""
        try:
            return digest({path.name: self.digest(path) for path in files})
        except OSError as error:
            self.mistakes.add(where, f"{name}: {error.filename} cannot be read")
            return ""

    def check(self, name: str, path: Path, read: Callable[[Path], object]) -> None:
        """Have `read` go through the file of a setting, once; what it raises comes through."""
        if (name, path) not in self._texts:
            read(path)
            self._texts.add((name, path))


def is_folder(path: Path) -> bool:
    """Return whether there is such a folder, and it may be looked at."""
    try:
        return path.is_dir()
    except OSError:
        return False
