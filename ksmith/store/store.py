"""The store: one object for everything that is asked of a lab's database."""

from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, final

from sqlalchemy import Connection

from ksmith.records import Kind, Node, Outcome, UserError
from ksmith.store import by_hand, health, measured, migrate, queries, queue, studies
from ksmith.store.check import Problem, Progress, problems, silent
from ksmith.store.claims import Claim, End, Policy, Renewal, Worker
from ksmith.store.database import Database, clear_errors, connect, locate
from ksmith.store.rows import AttemptRow, Dag, Lease, NodeRow, StudyRow, TrialRow
from ksmith.study import Study


@final
class Store:
    """A lab: its folder and its database, at the schema of this code.

    Every method is one transaction. What is claimed is written about only through the claim,
    and such a method says whether it still counted (False, None or "fenced" where it did not).
    """

    def __init__(self, home: Path, database: Database, backup: Path | None = None) -> None:
        self.home = home
        self.database = database
        self.upgraded_from = backup  # the copy of an older database that was upgraded just now

    @classmethod
    def open(cls, home: Path, url: str | None = None) -> Self:
        """Return the store in the folder `home`; its database is created or upgraded.

        Raises:
            UserError: a newer database, a file that is none, a folder that cannot be used.
        """
        try:
            home = home.resolve()  # a worker refuses folders with a .. in them
            home.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            reason = error.strerror if isinstance(error, OSError) else "a loop of links"
            raise UserError(f"{home} cannot be used as a lab: {reason}") from error
        found, path = locate(home, url)
        with clear_errors(path):
            backup = migrate.migrate(found, path, home)
            database = connect(found, path)
            with database.read():
                return cls(home, database, backup)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- connections of one's own ---------------------------------------------------------

    @property
    def now(self) -> str:
        """The SQL for the database's clock: whole seconds since the epoch."""
        return self.database.dialect.now

    @contextmanager
    def write(self) -> Generator[Connection]:
        """Yield a connection in a transaction that may write."""
        with self.database.write() as connection:
            yield connection

    @contextmanager
    def read(self) -> Generator[Connection]:
        """Yield a connection that cannot write and sees one moment."""
        with self.database.read() as connection:
            yield connection

    # --- studies --------------------------------------------------------------------------

    def add(self, study: Study, *, replace: bool = False) -> studies.Added:
        """Return what was added; see `studies.add`."""
        return studies.add(self.database, study, replace=replace)

    def preview(self, study: Study) -> studies.Added:
        """Return what `add` would do, having done nothing."""
        return studies.preview(self.database, study)

    def delete(self, name: str) -> studies.Deleted:
        """Return what is left of a study that was deleted: its trials stay, but are not run."""
        return studies.delete(self.database, self.study(name).id)

    def studies(self) -> list[StudyRow]:
        """Return all studies."""
        return queries.studies(self.database)

    def study(self, name: str) -> StudyRow:
        """Return one study, or raise UserError."""
        return queries.study(self.database, name)

    # --- the queue ------------------------------------------------------------------------

    def claim(
        self,
        owner: str,
        *,
        wanted: Collection[int] | None = None,
        warm: str | None = None,
        ttl: int = 60,
    ) -> Claim | None:
        """Return a ready node among `wanted`, leased to `owner`; see `queue.claim`."""
        return queue.claim(self.database, owner, wanted=wanted, warm=warm, ttl=ttl)

    def start(self, held: Claim, worker: Worker) -> bool:
        """Return whether the claim is now running."""
        return queue.start(self.database, held, worker)

    def renew(self, held: Claim, ttl: int = 60) -> Renewal:
        """Return what became of the claim."""
        return queue.renew(self.database, held, ttl)

    def finish(self, held: Claim, end: End, policy: Policy | None = None) -> str | None:
        """Return the node's state after the attempt; None where the claim was fenced."""
        return queue.finish(self.database, held, end, policy)

    def give_back(self, held: Claim) -> bool:
        """Return whether the node is free again, uncharged."""
        return queue.give_back(self.database, held)

    def take_over(self, held: Claim, owner: str, *, dead: bool, ttl: int = 60) -> bool:
        """Return whether `owner` has the lease now."""
        return queue.take_over(self.database, held, owner, dead=dead, ttl=ttl)

    def cancel(self, ids: Collection[int]) -> tuple[int, int]:
        """Return how many are cancelled now, and how many once their attempt stops."""
        return by_hand.cancel(self.database, ids)

    def retry(self, ids: Collection[int]) -> list[str]:
        """Return the keys of what will be tried again."""
        return by_hand.retry(self.database, ids)

    def undo(self, key: str, folder: str) -> bool:
        """Return whether an asset whose folder is gone is to be built again."""
        return by_hand.undo(self.database, key, folder)

    def redo(self, node: NodeRow) -> bool:
        """Return whether a done node, whose folder is gone or damaged, is to be done again."""
        if node.state != "done" or node.folder is None:
            return False
        folder = self.home / node.folder
        outcome = Outcome.read(folder)
        if outcome and all(fault.extra for fault in measured.faults(folder, outcome)):
            return False
        return by_hand.undo(self.database, node.key, node.folder, "its folder was damaged")

    # --- questions ------------------------------------------------------------------------

    def trials(self, study: str) -> list[TrialRow]:
        """Return the trials of a study."""
        return queries.trials(self.database, self.study(study).id)

    def find(self, prefix: str) -> NodeRow:
        """Return the trial or asset whose key or hash begins so, or raise UserError."""
        return queries.find(self.database, prefix)

    def attempts(self, node_id: int) -> list[AttemptRow]:
        """Return every try at a node."""
        return queries.attempts(self.database, node_id)

    def needs(self, node_id: int) -> dict[str, NodeRow]:
        """Return role -> what a node needs."""
        return queries.needs(self.database, node_id)

    def states(self, study_ids: Collection[int]) -> dict[tuple[Kind, str], int]:
        """Return (kind, state) -> number, of trials and all that they need."""
        return queries.states(self.database, study_ids)

    def dag(self, study_ids: Collection[int]) -> Dag:
        """Return the nodes of studies and what they need."""
        return queries.dag(self.database, study_ids)

    def standing(self, study_ids: Collection[int]) -> dict[int, tuple[str, str | None]]:
        """Return id -> (state, folder), of the same nodes as `dag`."""
        return queries.standing(self.database, study_ids)

    def leases(self) -> list[Lease]:
        """Return what is leased or running."""
        return queries.leases(self.database)

    def expected(self, nodes: Iterable[Node]) -> float | None:
        """Return the seconds of work that `nodes` should take; None where nothing is known."""
        return queries.expected(self.database, nodes)

    # --- health ---------------------------------------------------------------------------

    def check(self, *, quick: bool = False) -> list[Problem]:
        """Return what is wrong; `quick` reads no file's bytes."""
        return list(self.problems(quick=quick))

    def problems(
        self, *, quick: bool = False, progress: Progress = silent
    ) -> Iterator[Problem]:
        """Yield what is wrong, as it is found; see `check.py`."""
        return problems(self.database, self.home, quick=quick, progress=progress)

    def backup(self, target: Path) -> Path:
        """Return `target`, now a copy of the database.

        Raises:
            UserError: it is there already, or the database is a server's.
        """
        if self.database.path is None:
            raise UserError("a server's database is backed up by its own tools, e.g. pg_dump")
        return migrate.backup(self.database.path, target)

    def reindex(self) -> health.Reindexed:
        """Return what was rebuilt from the outcome folders."""
        return health.reindex(self.database, self.home)
