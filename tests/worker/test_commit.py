"""An outcome says of which working copy it is."""

import subprocess
from pathlib import Path

from ksmith.worker.commit import working_copy


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_outside_a_checkout_there_is_none(tmp_path: Path) -> None:
    assert working_copy(tmp_path) == {}


def test_commit_and_whether_tracked_files_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-qm", "one")
    clean = working_copy(tmp_path)
    assert len(clean["commit"]) == 40
    assert clean["dirty"] == "false"
    (tmp_path / "file").write_text("two")
    assert working_copy(tmp_path) == clean | {"dirty": "true"}
