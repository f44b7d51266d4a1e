"""What a trial that failed had measured by then, for `ksmith trial show`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith.records import UNFINISHED, Outcome

if TYPE_CHECKING:
    from ksmith.store import NodeRow


def unfinished(home: Path, node: "NodeRow", needs: Mapping[str, "NodeRow"]) -> dict[str, Any]:
    """Return by name how much was done of a node that failed; empty where it left nothing.

    Of an update that diverged also the step, and each part of the loss at the last good one.
    """
    outcome = Outcome.read(home / node.folder) if node.folder else None
    if outcome is None or UNFINISHED not in outcome.info:
        return {}
    draws = outcome.info[UNFINISHED]["draws"]
    found: dict[str, Any] = {"draws after the update": f"{draws['finished']} of {draws['of']}"}
    update = needs.get("update", node)
    path = home / (update.folder or "") / "diverged.json"
    if update.state != "failed" or not path.is_file():
        return found
    broken = json.loads(path.read_text(encoding="utf-8"))
    found["diverged at step"] = broken["step"]
    curve: dict[str, list[float]] = broken["curve"]
    last = {part: values[-1] for part, values in curve.items() if values}
    return found | {f"loss of the last good step, {part}": last[part] for part in last}
