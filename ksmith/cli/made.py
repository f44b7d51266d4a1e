"""What a trial was made from: its settings with their defaults, its files, its provenance."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ksmith.store import NodeRow


def settings_of(node: "NodeRow", needs: "dict[str, NodeRow]") -> dict[str, Any]:
    """Return the settings by dotted names, those of what the node needs included."""
    from ksmith.study import flat

    found: dict[str, Any] = {}
    for row in (*needs.values(), node):
        if row.kind != "standard":  # which draw it is of is no setting of the trial
            found |= flat(row.recipe)
    if "method" in node.recipe:
        found |= _left_out(node.recipe["method"])
    if "task.share" in found:  # how much was drawn stands in the provenance
        found.pop("task.scale", None)
    return dict(sorted(found.items()))


def _left_out(table: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a method that are left out of its keys at their defaults."""
    from ksmith.settings import METHODS, declared
    from ksmith.settings.known_models import published

    name = table["name"]
    # The worker knows what is published for the model, and takes that where nothing is said.
    open_ones = published(name) if table.get("preset") == "paper" else ()
    return {
        f"method.{name}.{leaf}": item.default
        for leaf, item in (declared(METHODS[name]).items() if name in METHODS else ())
        if item.omit_at_default
        and item.default is not None
        and leaf not in table
        and leaf not in open_ones
    }


def files_of(node: "NodeRow", needs: "dict[str, NodeRow]") -> dict[str, str]:
    """Return where the files and folders were that the result was made from, by setting."""
    return {
        # A gold model is one of several: what it says stands for it among the needs.
        role.replace("standard", "gold") if name == "gold" else name: path
        for role, row in (*needs.items(), ("trial", node))
        for name, path in sorted(row.files.items())
    }


def provenance_of(home: Path, node: "NodeRow", needs: "dict[str, NodeRow]") -> dict[str, Any]:
    """Return what the result was made from and by; empty where there is none."""
    from ksmith.records import Outcome

    outcome = Outcome.read(home / node.folder) if node.folder else None
    if outcome is None:
        return {}
    counts: dict[str, Any] = {}
    digests: dict[str, str] = {}
    warnings: dict[str, str] = {}
    for row in (*needs.values(), node):
        made = Outcome.read(home / row.folder) if row.folder else None
        digests |= made.info.get("digests", {}) if made else {}
        if made and row.kind == "update" and "requests" in made.info:  # what task.share came to
            counts = {"draws": made.info["draws"], "facts of all draws": made.info["requests"]}
        if made and (warning := made.info.get("warning")):
            warnings[f"warning of {row.kind}"] = warning
    own = outcome.info.get("provenance", {})
    return {
        "host": outcome.host,
        "device": outcome.device,
        "dtype": outcome.info.get("dtype"),
        **{name: value for name, value in own.items() if name != "flags"},
        **own.get("flags", {}),
        **{f"version of {name}": version for name, version in outcome.versions.items()},
        **{f"digest of {name}": digest for name, digest in sorted(digests.items())},
        **warnings,
        **counts,
    }
