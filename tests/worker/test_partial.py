from dataclasses import replace
from pathlib import Path

import pytest

from ksmith.records import Json, Outcome
from ksmith.worker.attempt import Performed, perform
from ksmith.worker.job import Job
from ksmith.worker.partial import Partial, drop, room
from tests.worker.test_loop import spec


def job(home: Path, attempt: int = 1, fence: int = 3) -> Job:
    """Return an attempt at one and the same node, as a worker makes it."""
    name = f"{attempt}-{fence}"
    one = replace(spec(home), attempt=attempt, fence=fence)
    one = replace(one, folder=str(Path(one.folder).parent / name))
    return Job(spec=one, folder=Path(f"{one.folder}.tmp"), partial=room(one))


def put(partial: Partial, text: str) -> None:
    partial.keep("sum", lambda path: path.write_text(text, encoding="utf-8"))


def text(partial: Partial) -> str | None:
    path = partial.find("sum")
    return path.read_text(encoding="utf-8") if path else None


def test_next_attempt_goes_on_and_the_late_one_ends(tmp_path: Path) -> None:
    first = Partial.take(job(tmp_path))
    assert text(first) is None
    put(first, "one")
    put(first, "two")
    assert text(first) == "two"
    second = Partial.take(job(tmp_path, attempt=2, fence=4))
    assert text(second) == "two"
    with pytest.raises(FileNotFoundError, match="newer attempt"):
        put(first, "late")
    put(second, "three")
    assert text(Partial.take(job(tmp_path, attempt=2, fence=4))) == "three"


def test_nothing_is_taken_from_a_newer_attempt(tmp_path: Path) -> None:
    newer = Partial.take(job(tmp_path, attempt=10, fence=10))
    put(newer, "newer")
    late = Partial.take(job(tmp_path, attempt=9, fence=9))
    assert text(late) is None
    put(newer, "goes on")
    assert text(newer) == "goes on"


def test_newest_of_the_older_ones_is_taken_by_number_not_by_name(tmp_path: Path) -> None:
    for fence in (9, 10):
        folder = room(job(tmp_path).spec) / f"1-{fence}"
        folder.mkdir(parents=True)
        (folder / "sum").write_text(str(fence), encoding="utf-8")
        (folder / "half.tmp").write_text("half", encoding="utf-8")
    mine = Partial.take(job(tmp_path, attempt=2, fence=11))
    assert text(mine) == "10"
    assert [path.name for path in room(job(tmp_path).spec).rglob("*")] == ["2-11", "sum"]


def test_what_was_kept_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    partial = Partial.take(job(tmp_path))
    put(partial, "good")

    def fail(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        partial.keep("sum", fail)
    assert text(partial) == "good"
    assert partial.folder and [path.name for path in partial.folder.iterdir()] == ["sum"]


def test_due_after_some_seconds(tmp_path: Path) -> None:
    assert Partial.take(job(tmp_path), seconds=0).due()
    assert not Partial.take(job(tmp_path), seconds=1000).due()


def test_outside_a_lab_nothing_is_kept(tmp_path: Path) -> None:
    partial = Partial.take(replace(job(tmp_path), partial=None), seconds=0)
    put(partial, "lost")
    assert text(partial) is None and not partial.due()
    assert list(tmp_path.iterdir()) == []


def test_kept_over_a_failure_and_gone_after_success(tmp_path: Path) -> None:
    def work(job: Job) -> dict[str, Json]:
        partial = Partial.take(job)
        found = text(partial)
        put(partial, f"{found or ''}x")
        if found != "xx":
            raise ValueError("killed")
        return {"found": found}

    def attempt(number: int) -> Performed:
        one = job(tmp_path, attempt=number, fence=number).spec
        return perform(one, lambda: {"trial": work})

    ends = [attempt(number).outcome for number in (1, 2, 3)]
    assert [outcome.reason for outcome in ends] == ["error", "error", "ok"]
    assert ends[2].info["found"] == "xx"
    assert not room(job(tmp_path).spec).exists()
    drop(job(tmp_path).spec)  # of what is not there
    assert Outcome.read(Path(job(tmp_path, 3, 3).spec.folder))
