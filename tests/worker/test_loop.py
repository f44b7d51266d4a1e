import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ksmith.records import Json, Kind, Outcome, Spec, UserError, digests
from ksmith.worker.attempt import check, one_line, perform, reason_of, versions
from ksmith.worker.job import Job
from tests.scheduler.small import ROOT, WORKER


def spec(home: Path, kind: Kind = "trial", orders: dict[str, Json] | None = None) -> Spec:
    """Return a spec that needs nothing."""
    room = "outcomes" if kind == "trial" else "assets"
    key = f"{kind}-1-{'0' * 20}"
    return Spec(
        key=key,
        kind=kind,
        recipe={"probe": {"orders": {kind: orders or {}}}},
        needs={},
        need_keys={},
        files={},
        folder=str(home / room / key / "1-3"),
        attempt=1,
        fence=3,
    )


@contextmanager
def worker() -> Generator["subprocess.Popen[str]"]:
    """Yield a worker process with fake science."""
    process = subprocess.Popen(
        WORKER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def say(process: "subprocess.Popen[str]", *specs: Spec) -> list[dict[str, Json]]:
    """Return the events of a worker that is given `specs` and the end of its stdin."""
    out, _ = process.communicate("".join(f"{one.to_line()}\n" for one in specs), timeout=30)
    return [json.loads(line) for line in out.splitlines()]


def test_events_and_folder_of_one_spec(tmp_path: Path) -> None:
    one = spec(tmp_path)
    with worker() as process:
        events = say(process, one)
    assert [event["event"] for event in events] == ["started", "progress", "finished"]
    assert all(event["key"] == one.key and event["fence"] == 3 for event in events)
    assert events[1] | {"done": 0, "total": 2, "text": "half way"} == events[1]
    assert events[2]["reason"] == "ok"
    outcome = Outcome.read(Path(one.folder))
    assert outcome and outcome.files == digests(Path(one.folder))
    assert (outcome.reason, outcome.attempt, outcome.fence) == ("ok", 1, 3)
    assert outcome.versions["python"] and outcome.peak_memory > 1_000_000
    kept = (Path(one.folder) / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in kept] == ["started", "progress"]


def test_end_of_stdin_after_the_last_spec_ends_the_worker(tmp_path: Path) -> None:
    specs = [
        spec(tmp_path, "graph"),
        spec(tmp_path, "model"),
        spec(tmp_path, orders={"sleep": 0.2}),
    ]
    with worker() as process:
        events = say(process, *specs)
        assert process.returncode == 0
    assert [event["reason"] for event in events if event["event"] == "finished"] == ["ok"] * 3
    counts = [Outcome.read(Path(one.folder)) for one in specs]
    assert [one.info["count"] for one in counts if one] == [1, 2, 3]  # it was warm


def test_failed_spec_leaves_an_outcome_and_the_worker_goes_on(tmp_path: Path) -> None:
    bad, good = spec(tmp_path, "graph", {"act": "fail"}), spec(tmp_path)
    with worker() as process:
        events = say(process, bad, good)
    ends = [event["reason"] for event in events if event["event"] == "finished"]
    assert ends == ["error", "ok"]
    outcome = Outcome.read(Path(bad.folder))
    assert outcome and outcome.error == "ValueError: the science is wrong"
    assert "in _fail" in str(outcome.traceback)
    assert "in _fail" in Path(f"{bad.folder}.log").read_text(encoding="utf-8")
    assert Path(f"{good.folder}.log").read_text(encoding="utf-8") == ""


def test_nonsense_is_refused_and_the_worker_goes_on(tmp_path: Path) -> None:
    good = spec(tmp_path)
    with worker() as process:
        out, _ = process.communicate(f'no json\n{{"key": 1}}\n\n{good.to_line()}\n', timeout=30)
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert events == ["refused", "refused", "started", "progress", "finished"]


def test_spec_in_a_file(tmp_path: Path) -> None:
    for one, code in ((spec(tmp_path), 0), (spec(tmp_path, "graph", {"act": "fail"}), 1)):
        file = tmp_path / "spec.json"
        file.write_text(one.to_line(), encoding="utf-8")
        done = subprocess.run(
            [*WORKER, "--spec", str(file)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == code
        assert Outcome.read(Path(one.folder))


def test_work_goes_on_when_nobody_reads(tmp_path: Path) -> None:
    one = spec(tmp_path, orders={"sleep": 0.3})
    with worker() as process:
        assert process.stdin and process.stdout
        process.stdout.close()  # as if the scheduler had been killed
        process.stdin.write(f"{one.to_line()}\n")
        process.stdin.close()
        process.stdin = process.stdout = None
        assert process.wait(30) == 0
    outcome = Outcome.read(Path(one.folder))
    assert outcome and outcome.reason == "ok"


def test_term_while_working_is_published_as_preempted(tmp_path: Path) -> None:
    one = spec(tmp_path, orders={"sleep": 60})
    with worker() as process:
        assert process.stdin and process.stdout
        process.stdin.write(f"{one.to_line()}\n")
        process.stdin.flush()
        while "half way" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    outcome = Outcome.read(Path(one.folder))
    assert outcome and (outcome.reason, outcome.error) == ("preempted", "Preempted")


def test_term_while_waiting_ends_the_worker(tmp_path: Path) -> None:
    with worker() as process:
        assert process.stdin and process.stdout
        process.stdin.write(f"{spec(tmp_path).to_line()}\n")
        process.stdin.flush()
        while "finished" not in process.stdout.readline():
            pass
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    "change",
    [
        {"folder": "/etc/outcomes"},
        {"folder": "outcomes/trial-1-00000000000000000000/1-3"},
        {"folder": "/lab/assets/trial-1-00000000000000000000/1-3"},
        {"folder": "/lab/outcomes/trial-1-00000000000000000000/1-4"},
        {"folder": "/lab/../outcomes/trial-1-00000000000000000000/1-3"},
        {"key": "../../etc", "folder": "/lab/outcomes/../../etc/1-3"},
        {"needs": {"graph": "/etc"}},
        {"needs": {"graph": "/lab/assets/../outcomes/x"}},
    ],
)
def test_spec_that_points_out_of_its_lab_is_refused(change: dict[str, Json]) -> None:
    good = spec(Path("/lab"))
    check(good)
    with pytest.raises(UserError):
        check(replace(good, **change))


def test_outcome_that_cannot_be_kept_leaves_nothing(tmp_path: Path) -> None:
    one = spec(tmp_path)
    Path(one.folder).mkdir(parents=True)  # the rename will fail
    with worker() as process:
        events = say(process, one)
    assert events[-1]["reason"] == "error"
    assert "could not be kept: FileExistsError" in events[-1]["text"]
    assert not Path(f"{one.folder}.tmp").exists()
    assert Outcome.read(Path(one.folder)) is None


def test_full_disk_leaves_no_half_outcome(tmp_path: Path) -> None:
    one = spec(tmp_path)

    def fill(job: Job) -> dict[str, Json]:
        (job.folder / "made.txt").write_text("some", encoding="utf-8")
        # As a full disk, for this process alone: no file may grow over so many bytes.
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
        return {}

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError, match="File too large"):
            perform(one, lambda: {"trial": fill})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert list(Path(one.folder).parent.iterdir()) == []


def test_handlers_that_cannot_be_imported_are_an_outcome(tmp_path: Path) -> None:
    def load() -> dict[Kind, object]:
        raise ImportError("no torch here")

    done = perform(spec(tmp_path), load)  # pyright: ignore[reportArgumentType]
    assert done.outcome.reason == "error"
    assert done.outcome.error == "ImportError: no torch here"


def test_reasons() -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    assert reason_of(None) == "ok"
    assert reason_of(ValueError()) == "error"
    assert reason_of(MemoryError()) == "oom"
    assert reason_of(OutOfMemoryError()) == "oom"


def test_error_lines() -> None:
    assert one_line(ValueError("two\nlines")) == "ValueError: two lines"
    assert one_line(KeyError()) == "KeyError"
    assert one_line(UserError("say it")) == "say it"


def test_job_names_its_needs(tmp_path: Path) -> None:
    one = replace(spec(tmp_path), needs={"graph": str(tmp_path / "assets" / "g")})
    job = Job(spec=one, folder=tmp_path)
    assert job.need("graph") == tmp_path / "assets" / "g"
    with pytest.raises(KeyError):
        job.need("model")


def test_versions_name_what_numbers_depend_on() -> None:
    assert {"python", "torch", "transformers"} <= versions().keys()


def test_worker_starts_without_torch() -> None:
    code = "import sys, ksmith.worker.loop, ksmith.worker.__main__; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not {"torch", "polars", "sqlmodel", "sqlalchemy", "ksmith.store"} & set(said.split())
