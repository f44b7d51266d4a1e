"""Is the lab whole? The database against itself, against the folders, and the folders' bytes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from ksmith.records import Outcome, file_digest, files_in
from ksmith.store.database import Database
from ksmith.store.health import ROOMS, attempt_folders
from ksmith.store.measured import Damaged, Fault, faults, metrics_of
from ksmith.store.migrate import config, current, revisions

Progress = Callable[[int, int, str], None]  # bytes read, bytes in all, the file that is next


def silent(_done: int, _total: int, _file: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, and what can be done about it."""

    what: str
    todo: str
    folder: str | None = None  # relative to the home, where it is a folder's

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.what}; {self.todo}"


@dataclass(frozen=True, slots=True)
class _Lab:
    """The folders, and what the rows say of them."""

    home: Path
    folders: list[str]  # of published attempts
    unfinished: list[str]  # of attempts that are being worked on, or were killed
    tried: Mapping[str, str]  # folder of an attempt -> its state
    counted: Mapping[str, str | None]  # key of a node that is done -> its folder
    metrics: Mapping[str, int]  # key of such a node -> rows in the table of metrics

    def counts(self, folder: str) -> bool:
        """Is this the folder that a node's result is read from?"""
        return self.counted.get(_key(folder)) == folder


def problems(
    database: Database, home: Path, *, quick: bool = False, progress: Progress = silent
) -> Iterator[Problem]:
    """Yield what is wrong, as it is found; `quick` leaves out what needs every file's bytes."""
    yield from _database(database)
    lab = _look(database, home)
    yield from _gone(lab)
    yield from _strangers(lab)
    if not quick:
        yield from _contents(lab, progress)


def _database(database: Database) -> Iterator[Problem]:
    found, known = current(database.url, database.path), revisions(config())
    if found != known[0]:
        yield Problem(
            what=f"the database is at revision {found}, this ksmith at {known[0]}",
            todo="`ksmith db upgrade` brings it there",
        )
    if database.path is None:
        return  # a server looks after its own pages and keys
    todo = "put a copy from backups/ in its place, then `ksmith db reindex`"
    with database.read() as connection:
        for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
            if line != "ok":
                yield Problem(what=f"integrity: {line}", todo=todo)
        for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
            yield Problem(
                what=f"a row of {row[0]} points at a row of {row[2]} that is not there",
                todo=todo,
            )


def _look(database: Database, home: Path) -> _Lab:
    # Folders first: while trials run, a folder's row is there before the folder is.
    folders = [path.relative_to(home).as_posix() for path in attempt_folders(home)]
    unfinished = [
        path.relative_to(home).as_posix()
        for room in ROOMS
        for path in sorted((home / room).glob("*/*.tmp"))
    ]
    with database.read() as connection:
        tried = connection.execute(text("SELECT folder, state FROM attempt")).all()
        done = connection.execute(
            text(
                "SELECT key, folder, (SELECT COUNT(*) FROM metric WHERE node_id = node.id) "
                "AS metrics FROM node WHERE state = 'done' ORDER BY id"
            )
        ).all()
    return _Lab(
        home=home,
        folders=folders,
        unfinished=unfinished,
        tried={row.folder: row.state for row in tried},
        counted={row.key: row.folder for row in done},
        metrics={row.key: row.metrics for row in done},
    )


def _gone(lab: _Lab) -> Iterator[Problem]:
    for key, folder in lab.counted.items():
        if folder is None or Outcome.read(lab.home / folder) is None:
            yield Problem(
                what=f"{key} is done, but its folder {folder} is gone or incomplete",
                todo=f"put it back, or {_again(key)}",
                folder=folder,
            )


def _strangers(lab: _Lab) -> Iterator[Problem]:
    for folder in lab.folders:
        if folder not in lab.tried:
            whole = Outcome.read(lab.home / folder) is not None
            yield Problem(
                what=f"{folder} belongs to no attempt",
                todo="`ksmith db reindex` takes it in if a study names it"
                if whole
                else "delete it: it has no complete outcome.json",
                folder=folder,
            )
    for folder in lab.unfinished:
        # It may have been published since it was listed.
        if lab.tried.get(folder.removesuffix(".tmp")) != "started" and (
            (lab.home / folder).exists()
        ):
            yield Problem(
                what=f"{folder} is what a stopped attempt left behind",
                todo="delete it: nothing reads it",
                folder=folder,
            )


def _contents(lab: _Lab, progress: Progress) -> Iterator[Problem]:
    sizes = {
        path: path.stat().st_size
        for folder in lab.folders
        for path in files_in(lab.home / folder)
    }
    total, done = sum(sizes.values()), 0

    def reading(path: Path) -> None:
        nonlocal done
        progress(done, total, path.relative_to(lab.home).as_posix())
        done += sizes.get(path, 0)

    for folder in lab.folders:
        outcome = Outcome.read(lab.home / folder)
        if outcome is None:
            if folder in lab.tried and not lab.counts(folder):
                yield _problem(lab, folder, Fault("has no complete outcome.json"))
            continue
        attempt, _, fence = folder.rpartition("/")[2].partition("-")
        asked = {"key": _key(folder), "attempt": int(attempt), "fence": int(fence)}
        found = list(faults(lab.home / folder, outcome, asked, reading))
        yield from (_problem(lab, folder, fault) for fault in found)
        if not found and lab.counts(folder):
            yield from _rows(lab, folder)
    yield from _provenance(lab.home)
    progress(total, total, "")


def _provenance(home: Path) -> Iterator[Problem]:
    """Yield the kept locks and diffs that are not what their names say."""
    for path in sorted((home / "provenance").glob("*-*.*")):
        digest = path.name.split("-", 1)[1].split(".")[0]
        if path.suffix != ".tmp" and not file_digest(path).startswith(digest):
            yield Problem(
                what=f"provenance/{path.name} is not what was written: its digest differs",
                todo="delete it: the next worker with the same packages and code writes it anew",
                folder="provenance",
            )


def _rows(lab: _Lab, folder: str) -> Iterator[Problem]:
    """Yield whether the table of metrics is what the folder's file says."""
    key = _key(folder)
    try:
        number = len(metrics_of(lab.home / folder))
    except Damaged as error:
        yield Problem(what=str(error), todo=_again(key), folder=folder)
        return
    if lab.metrics[key] != number:
        yield Problem(
            what=f"the database has {lab.metrics[key]} metrics of {key}, its folder {number}",
            todo="`ksmith db reindex` reads them again",
            folder=folder,
        )


def _problem(lab: _Lab, folder: str, fault: Fault) -> Problem:
    if fault.extra:
        todo = "move it elsewhere: what was measured is there"
    elif lab.counts(folder):
        todo = _again(_key(folder))
    else:
        todo = "delete the folder: no result is read from this attempt"
    return Problem(what=f"{folder} {fault.text}", todo=todo, folder=folder)


def _again(key: str) -> str:
    if key.startswith("trial-"):
        return f"`ksmith trial retry {key}` has it measured again by the next run"
    return (
        f"`ksmith trial retry {key}` has it built again by the next run that needs it; "
        "`ksmith verify` shows whether a trial that used it still holds"
    )


def _key(folder: str) -> str:
    return folder.split("/")[1]
