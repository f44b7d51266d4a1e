"""The state of the working copy in which ksmith was started."""

import subprocess
from pathlib import Path


def working_copy(folder: Path) -> dict[str, str]:
    """Return `commit` and `dirty` ("true" or "false") of the git checkout around `folder`.

    Empty where there is no checkout, no commit or no git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if not commit or changed is None:
        return {}
    return {"commit": commit, "dirty": "true" if changed else "false"}


def changes(folder: Path, limit: int) -> bytes:
    """Return the diff of the tracked files around `folder` against their commit.

    No more than `limit` bytes and one, which says that there are more, are read of it; nothing
    where there is no checkout.
    """
    words = ["diff", "--no-color", "--no-ext-diff", "--binary", "HEAD"]
    try:
        with subprocess.Popen(
            ["git", "-C", str(folder), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout
            found = process.stdout.read(limit + 1)
            process.kill()  # it may have more to say, to nobody
    except OSError:
        return b""
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
