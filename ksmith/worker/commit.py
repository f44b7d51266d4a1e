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
