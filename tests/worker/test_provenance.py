"""What an outcome says of the process that made it, kept once for all outcomes."""

import importlib.metadata
import re
from hashlib import sha256
from pathlib import Path

import pytest

from ksmith.worker import provenance as kept
from ksmith.worker.attempt import perform
from ksmith.worker.commit import changes
from tests.worker.test_commit import git
from tests.worker.test_loop import spec


def test_lock_names_every_distribution() -> None:
    def plain(name: str, version: str) -> str:
        return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"

    lines = [line.split("==") for line in kept.lock().decode().splitlines()]
    named = {plain(name, version) for name, version in lines}
    asked = ("torch", "transformers", "polars", "typing_extensions")
    assert {plain(name, importlib.metadata.version(name)) for name in asked} <= named


def test_diff_of_a_working_copy_is_whole_or_cut(tmp_path: Path) -> None:
    assert changes(tmp_path, 100) == b""  # no checkout
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one\n")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-qm", "one")
    assert changes(tmp_path, 100) == b""
    (tmp_path / "file").write_text("two\n" * 10_000)
    assert b"-one\n+two\n" in changes(tmp_path, 10**6)
    assert len(changes(tmp_path, 100)) == 101


def test_content_is_kept_once_under_its_digest(tmp_path: Path) -> None:
    first = kept.keep(tmp_path, "diff", "patch", b"changes")
    before = (tmp_path / first).stat()
    assert kept.keep(tmp_path, "diff", "patch", b"changes") == first
    assert (tmp_path / first).stat() == before
    assert first == f"provenance/diff-{sha256(b'changes').hexdigest()[:20]}.patch"
    assert kept.keep(tmp_path, "diff", "patch", b"others") != first
    assert len(list((tmp_path / "provenance").iterdir())) == 2


def test_outcomes_name_the_lock_and_the_diff_also_where_they_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    git(copy, "init", "-q")
    (copy / "file").write_text("one\n")
    git(copy, "add", "file")
    git(copy, "commit", "-qm", "one")
    (copy / "file").write_text("two\n")
    monkeypatch.chdir(copy)
    kept.difference.cache_clear()
    try:
        done = perform(spec(tmp_path / "lab"), lambda: {"trial": lambda job: 1 / 0})  # pyright: ignore[reportArgumentType]
    finally:
        kept.difference.cache_clear()
    found = done.outcome.info["provenance"]
    assert done.outcome.reason == "error"
    assert b"-one\n+two\n" in (tmp_path / "lab" / found["diff"]).read_bytes()
    assert found["diff_cut"] is False
    assert (tmp_path / "lab" / found["lock"]).read_bytes() == kept.lock()
