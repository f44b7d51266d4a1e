"""Between a claim and the protocol: what a worker is given, and what is made of its outcome."""

import shutil
from pathlib import Path

from ksmith.records import UNFINISHED, Reason, Spec
from ksmith.scheduler.plan import is_there
from ksmith.store import Claim, Damaged, End, Store
from ksmith.store.measured import read


def spec_of(home: Path, claim: Claim, device: str) -> Spec:
    """Return what a worker is given for a claim."""
    return Spec(
        key=claim.key,
        kind=claim.kind,
        recipe=claim.recipe,
        needs={role: str(home / folder) for role, (_, folder) in claim.needs.items()},
        need_keys={role: key for role, (key, _) in claim.needs.items()},
        files=claim.files,
        folder=str(home / claim.folder),
        attempt=claim.attempt,
        fence=claim.fence,
        device=device,
    )


def end_of(
    home: Path,
    claim: Claim,
    otherwise: Reason,
    error: str | None = None,
    exit_code: int | None = None,
) -> End:
    """Return how the attempt ended: by its folder, or, where there is none, as told."""
    found = published(home, claim)
    if found is not None:
        return found
    return End(reason=otherwise, error=error, exit_code=exit_code)


def published(home: Path, claim: Claim) -> End | None:
    """Return the end that the attempt's folder tells of; None where it is not published."""
    try:
        found = read(
            home / claim.folder, key=claim.key, attempt=claim.attempt, fence=claim.fence
        )
    except Damaged as error:
        return End(reason="error", error=str(error))
    if found is None:
        return None
    outcome = found.outcome
    return End(
        reason=outcome.reason,
        error=outcome.error,
        seconds=outcome.seconds,
        metrics=found.metrics if outcome.reason == "ok" or UNFINISHED in outcome.info else (),
        unfinished=UNFINISHED in outcome.info,
    )


def can_begin(store: Store, claim: Claim) -> bool:
    """Return whether the claim can be worked on; where not, it has been ended.

    What it needs may be gone from disk, and its folder may be there: from a life of the
    database before this one.
    """
    gone = [need for need in claim.needs.values() if not is_there(store.home, need[1])]
    if gone:
        store.give_back(claim)
        for key, folder in gone:
            store.undo(key, folder)
        return False
    if not (store.home / claim.folder).exists():
        return True
    end = published(store.home, claim)
    if end is None or end.reason != "ok":
        end = End(reason="lost", error=f"{claim.folder} is there from before this database")
    store.finish(claim, end)
    return False


def sweep(home: Path, claim: Claim) -> None:
    """Remove what a killed worker had begun to write."""
    shutil.rmtree(home / f"{claim.folder}.tmp", ignore_errors=True)


def last_line(log: Path) -> str:
    """Return the last line of a log, "" where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
