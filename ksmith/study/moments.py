"""The section `[moments]`: what second moments are measured on, or the files that hold them."""

from ksmith import corpus
from ksmith.records import Json, UserError, digest
from ksmith.settings import Moments
from ksmith.settings.moments import LENGTH
from ksmith.settings.words import show
from ksmith.study.expand import Flat
from ksmith.study.section import NOTHING, Desk, Resolved, resolved


def moments_section(own: Flat, desk: Desk) -> Resolved:
    """Return what second moments are measured on."""
    values = desk.filled(Moments, own, "moments")
    if not values:
        return NOTHING
    try:
        return _measured_on(values, own, desk)
    except UserError as error:
        name = "npz" if "npz" in values else "corpus"
        message = f"moments.{name} = {show(own[name].value)}: {error}"
        desk.mistakes.add(desk.where(own, name), message)
        return NOTHING


def _measured_on(values: dict[str, Json], own: Flat, desk: Desk) -> Resolved:
    if "npz" in values:
        folder = desk.files.path(own["npz"], "moments.npz")
        if folder is None:
            return NOTHING
        headers = [corpus.header(path) for path in corpus.statistics(folder)]
        digests = {one.path.name: desk.files.digest(one.path) for one in headers}
        table = {**values, "npz": digest(digests)}
        return resolved(table, {"moments.npz": str(folder)})
    if "corpus" not in values:
        return resolved(values)
    path = desk.files.data(own["corpus"], "moments.corpus")
    if path is None:
        return NOTHING
    found = corpus.find(path, values.get("column"))
    if found.kind != "parquet":
        desk.files.check("moments", path, corpus.check_text)
    table = {"length": LENGTH, **values, "corpus": desk.files.digest(path), "kind": found.kind}
    if found.column is not None:
        table["column"] = found.column
    return resolved(table, {"moments.corpus": str(path)})
