"""Is what a done study was made from still what lies there? Its results are of what it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ksmith.records import digest, file_digest
from ksmith.settings.model import model_files

if TYPE_CHECKING:
    from ksmith.store import Store

LARGEST = 4 << 30  # bytes of weights that are read for a warning: some ten seconds


def changed(store: "Store", name: str) -> Iterator[str]:
    """Yield the model folders of a stored study that hold another model than when it was made.

    Nothing is said of a folder that is gone, which results do not need, nor of large ones; nor
    where there is work left, for whoever opens another model refuses it.
    """
    if any(row.state != "done" for row in store.trials(name)):
        return
    dag = store.dag([store.study(name).id])
    made = {
        node.files["model.load"]: node.recipe["model"]["digest"]
        for node in dag.nodes.values()
        if node.kind == "model" and "digest" in node.recipe["model"]
    }
    for folder, known in sorted(made.items()):
        files = model_files(Path(folder))
        if not files or sum(path.stat().st_size for path in files) > LARGEST:
            continue
        if digest({path.name: file_digest(path) for path in files}) != known:
            yield (
                f"{folder} holds another model than the one that {name} was made with: its "
                "results are of the model that was there; `ksmith run FILE` makes trials of the "
                "one that is there now"
            )
