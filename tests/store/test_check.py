"""A lab that is really damaged: `db check` names the folder, the file and what to do."""

import json
import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from ksmith.cli import ksmith
from ksmith.records import Outcome
from ksmith.store import Store
from tests.scheduler.small import study, trials
from tests.store.folders import leave, run_all
from tests.store.servers import url_of


@pytest.fixture
def done(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store in which two trials are done; verbs open it, too."""
    monkeypatch.setenv("KSMITH_DATABASE", url_of(store))
    store.add(study("s", trials(2)))
    run_all(store)
    return store


def folder(store: Store, prefix: str) -> Path:
    return store.home / str(store.find(prefix).folder)


def trial(store: Store, number: int = 0) -> tuple[str, Path]:
    """Return the key and the folder of a trial's result."""
    row = store.trials("s")[number]
    return row.key, store.home / str(row.folder)


def verb(store: Store, *words: str) -> tuple[int, str]:
    """Return the exit code and the output of `ksmith WORDS`."""
    found = CliRunner().invoke(ksmith, [*words, "--home", str(store.home)])
    return found.exit_code, found.output


def test_whole_lab_has_nothing_wrong(done: Store) -> None:
    assert done.check() == []
    assert verb(done, "db", "check") == (0, "nothing is wrong\n")
    assert verb(done, "db", "check", "--quick")[1] == "nothing is wrong (files were not read)\n"


def test_folders_that_are_gone_or_nobodys(done: Store) -> None:
    (first, one), (second, two) = trial(done), trial(done, 1)
    shutil.rmtree(one)
    two.with_name("9-9").mkdir()
    two.with_name("1-1.tmp").mkdir()
    found = [problem.what for problem in done.check(quick=True)]
    name = one.relative_to(done.home)
    assert found == [
        f"{first} is done, but its folder {name} is gone or incomplete",
        f"outcomes/{second}/9-9 belongs to no attempt",
        f"outcomes/{second}/1-1.tmp is what a stopped attempt left behind",
    ]


def flip(path: Path) -> None:
    """Change one bit, which leaves the size as it was."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_one_flipped_bit_is_found_unless_quick(done: Store) -> None:
    key, at = trial(done)
    flip(at / "metrics.json")
    assert verb(done, "db", "check", "--quick")[0] == 0
    code, said = verb(done, "db", "check")
    name = at.relative_to(done.home)
    assert code == 1
    assert said == (
        f"{name} has a file that is not what was written: metrics.json: its digest differs; "
        f"`ksmith trial retry {key}` has it measured again by the next run\n"
    )


def test_every_fault_is_told_as_json(done: Store) -> None:
    (_, one), graph = trial(done), folder(done, "graph")
    (one / "metrics.json").unlink()
    (one / "deep").mkdir()
    (one / "deep" / "notes.txt").write_text("mine", encoding="utf-8")
    flip(graph / "metrics.json")
    code, said = verb(done, "db", "check", "--json")
    found = json.loads(said)
    assert (code, found["ok"]) == (1, False)
    names = [str(path.relative_to(done.home)) for path in (graph, one, one)]
    assert [problem["folder"] for problem in found["problems"]] == names
    damaged, extra, missing = found["problems"]
    assert "metrics.json: its digest differs" in damaged["what"]
    assert "built again" in damaged["todo"] and "ksmith verify" in damaged["todo"]
    assert extra["what"] == f"{names[1]} holds deep/notes.txt, which its outcome does not know"
    assert "move it elsewhere" in extra["todo"]
    assert missing["what"] == f"{names[1]} lacks metrics.json"


def test_folder_of_another_attempt_under_this_ones_name(done: Store) -> None:
    (_, one), (second, two) = trial(done), trial(done, 1)
    shutil.rmtree(one)
    shutil.copytree(two, one)
    (problem,) = done.check()
    assert f"says key '{second}'" in problem.what


def test_unreadable_outcome_is_incomplete(done: Store) -> None:
    key, one = trial(done)
    (one / "outcome.json").write_bytes(b"\xff\xfe\x00 no text")
    (problem,) = done.check()
    assert problem.what.startswith(f"{key} is done, but its folder")


def test_attempt_that_does_not_count_is_checked_too(done: Store) -> None:
    store = done
    store.add(study("t", trials(3)))
    held = store.claim("me")
    assert held
    left = leave(store, held, "error")
    flip(left / "metrics.json")
    (problem,) = store.check()
    assert problem.todo == "delete the folder: no result is read from this attempt"


def test_metrics_that_the_database_lost(done: Store) -> None:
    key, _ = trial(done)
    with done.write() as connection:
        connection.exec_driver_sql(f"DELETE FROM metric WHERE node_id = {done.find(key).id}")
    (problem,) = done.check()
    assert problem.what.startswith(f"the database has 0 metrics of {key}, its folder 1")
    assert "ksmith db reindex" in problem.todo
    done.reindex()
    assert done.check() == []


def test_what_check_says_helps(done: Store) -> None:
    """Follow the advice: retry, run, delete what no longer counts."""
    key, one = trial(done)
    assert "files are what was written" in verb(done, "trial", "retry", key)[1]
    flip(one / "metrics.json")
    assert verb(done, "trial", "retry", key) == (0, f"{key} will be tried again\n")
    assert done.find(key).state == "ready"
    run_all(done)
    (problem,) = done.check()
    assert "delete the folder" in problem.todo
    assert problem.folder
    shutil.rmtree(done.home / problem.folder)
    assert done.check() == []
    assert [row.state for row in done.attempts(done.find(key).id)][-1] == "ok"


def test_a_damaged_asset_is_built_again_when_it_is_needed(done: Store) -> None:
    model = done.find("model")
    flip(done.home / str(model.folder) / "metrics.json")
    assert verb(done, "trial", "retry", model.key)[0] == 0
    held = done.claim("me")
    assert held and (held.key, held.attempt) == (model.key, 2)


def test_kept_diff_that_was_changed(done: Store) -> None:
    room = done.home / "provenance"
    room.mkdir()
    content = b"changes"
    file = room / f"diff-{sha256(content).hexdigest()[:20]}.patch"
    file.write_bytes(content)
    assert done.check() == []
    flip(file)
    (problem,) = done.check()
    assert problem.what.startswith(f"provenance/{file.name} is not what was written")


def test_progress_counts_all_bytes(done: Store) -> None:
    told: list[tuple[int, int, str]] = []

    def tell(read: int, total: int, file: str) -> None:
        told.append((read, total, file))

    assert list(done.problems(progress=tell)) == []
    whole = sum(
        path.stat().st_size
        for room in ("assets", "outcomes")
        for path in (done.home / room).rglob("*")
        if path.is_file()
    )
    assert told[0][:2] == (0, whole)
    assert told[-1] == (whole, whole, "")
    assert [row[0] for row in told] == sorted(row[0] for row in told)


def test_interrupt_ends_it_with_what_was_found(done: Store) -> None:
    outcome = Outcome.read(folder(done, "graph"))
    assert outcome
    flip(folder(done, "graph") / "metrics.json")
    with (trial(done)[1] / "metrics.json").open("wb") as file:
        file.truncate(200 * 2**30)  # sparse: minutes to read, no room on disk
    process = subprocess.Popen(
        [sys.executable, "-m", "ksmith", "db", "check", "--home", str(done.home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
        # Shells start what runs in the background deaf to Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout
    assert "digest differs" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.endswith("stopped\n")
