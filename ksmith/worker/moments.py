"""Second moments as an asset: measured on a text, or taken from a user's own statistics."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ksmith import corpus, graph
from ksmith.corpus import Document, Place
from ksmith.lm import moments
from ksmith.lm.moments import Plan, Sums
from ksmith.lm.sites import sites
from ksmith.records import Outcome, UserError, derived_seed, digest, file_digest
from ksmith.worker import opening
from ksmith.worker.job import Job
from ksmith.worker.partial import Partial

FILE = "moments.safetensors"
SUMS = "sums.safetensors"  # what is half done
CHANGED = "changed since the study was made (its digest is another)"


def make_moments(job: Job) -> dict[str, Any]:
    """Measure E[k k^T] at the MLP output of the layers, or take what was measured elsewhere."""
    if "npz" in job.spec.recipe["moments"]:
        return _imported(job)
    if "model" in job.spec.recipe:  # on no graph's text: no graph is needed
        model, tokenizer, weights = opening.alone(job)
        return _measured(job, model, tokenizer, weights, None)
    base = opening.base(job)
    return _measured(job, base.model, base.tokenizer, base.weights, base.graph)


def opened(job: Job, weights: str) -> moments.Moments | None:
    """Return the moments that a node needs, or None where it needs none.

    Raises:
        UserError: they were measured on other weights than those of this digest.
    """
    if "moments" not in job.spec.needs:
        return None
    folder = job.need("moments")
    outcome = Outcome.read(folder)
    measured = outcome.info.get("weights") if outcome else None
    if measured not in (None, weights):
        source = job.spec.files.get("model.load")
        todo = (
            f"put the model back into {source}" if source else "name a commit in model.revision"
        )
        raise UserError(
            f"the second moments were measured on other weights than the model has now: {todo}"
        )
    return moments.load_moments(folder / FILE)


def _measured(
    job: Job,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    weights: str,
    known: graph.KnowledgeGraph | None,
) -> dict[str, Any]:
    """Write the moments; what an earlier attempt counted is gone on from."""
    table = job.spec.recipe["moments"]
    plan = Plan(
        tokens=int(table["tokens"]), layers=table.get("layers"), length=table.get("length")
    )
    partial = Partial.take(job)
    kept = partial.find(SUMS)
    counted = (moments.load_sums(kept, weights) if kept else None) or Sums()
    before = counted.tokens
    texts = _documents(job, known, counted.place)
    for state in moments.count(model, tokenizer, texts, plan, counted, job.progress):
        if partial.due():
            partial.keep(
                SUMS, lambda path, state=state: moments.save_sums(state, weights, path)
            )
    found, width = counted.moments(), next(iter(counted.sums.values())).shape[0]
    moments.save_moments(found, counted.tokens, job.folder / FILE)
    return {
        "tokens": counted.tokens,
        "documents": counted.documents,
        "layers": len(found),
        "weights": weights,
        **({"went_on_from": before} if before else {}),
        **_warning(counted.tokens, plan.tokens, width),
    }


def _warning(tokens: int, asked: int, width: int) -> dict[str, str]:
    """Return what is to be said of a corpus that is too small, under "warning"."""
    if tokens < width:
        few = f"{tokens:,} tokens are fewer than the {width:,} dimensions of a key"
        return {"warning": f"{few}: the second moment leaves some of them out"}
    if tokens < asked:
        return {"warning": f"the corpus has {tokens:,} tokens, {asked:,} were asked for"}
    return {}


def _documents(
    job: Job, known: graph.KnowledgeGraph | None, start: Place
) -> Iterator[Document]:
    """Return the documents of the corpus, or the sentences of the graph, from `start` on."""
    table = job.spec.recipe["moments"]
    if "corpus" not in table:
        assert known is not None
        sentences = graph.sentences(known, derived_seed(0, "moments"))
        return iter(
            [Document(s.text, Place(i)) for i, s in enumerate(sentences, start=1)][start.at :]
        )
    path = Path(job.spec.files["moments.corpus"])
    if not path.is_file() or file_digest(path) != table["corpus"]:
        raise UserError(f"{path}: {CHANGED if path.is_file() else 'no such file'}")
    return _told(corpus.documents(corpus.find(path, table.get("column")), start), path)


def _told(documents: Iterator[Document], path: Path) -> Iterator[Document]:
    """Yield the documents; an error says in which file."""
    try:
        yield from documents
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


# --- statistics of other tools ----------------------------------------------------------------


def _imported(job: Job) -> dict[str, Any]:
    """Write the moments that the npz files of a folder hold."""
    folder = Path(job.spec.files["moments.npz"])
    table = job.spec.recipe["moments"]
    paths = corpus.statistics(folder)
    if digest({path.name: file_digest(path) for path in paths}) != table["npz"]:
        raise UserError(f"{folder}: {CHANGED}")
    model = (opening.alone(job) if "model" in job.spec.recipe else _of_graph(job))[0]
    files = by_layer(model, paths)
    wanted = table.get("layers")
    missing = sorted(set(range(sites(model).n_layers)) - set(files))
    absent = sorted(set(wanted or ()) - set(files))
    if absent:
        raise UserError(f"{folder}: no statistics of layer {absent[0]}")
    kept = {layer: files[layer] for layer in (files if wanted is None else wanted)}
    moments.check_memory(len(kept), _width(model, next(iter(kept))))
    found: dict[int, torch.Tensor] = {}
    counts: dict[str, int] = {}
    for done, (layer, path) in enumerate(kept.items(), start=1):
        found[layer], counts[str(layer)] = _layer(model, layer, path)
        job.progress(done, len(kept), f"{path.name} read")
    moments.save_moments(found, min(counts.values()), job.folder / FILE)
    return {
        "tokens": min(counts.values()),
        "counts": counts,
        "layers": len(found),
        "missing": missing,
        "imported": {str(layer): path.name for layer, path in kept.items()},
    }


def _of_graph(job: Job) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str]:
    base = opening.base(job)
    return base.model, base.tokenizer, base.weights


def by_layer(model: PreTrainedModel, paths: list[Path]) -> Mapping[int, Path]:
    """Return which file is of which layer: its name begins with that of the layer's matrix.

    Raises:
        UserError: two files of one layer, or none of any.
    """
    where = sites(model)
    found: dict[int, Path] = {}
    for layer in range(where.n_layers):
        name = where.mlp_out(layer)
        mine = [path for path in paths if path.stem == name or path.stem.startswith(f"{name}_")]
        if len(mine) > 1:
            raise UserError(f"{mine[0].name} and {mine[1].name} are both of layer {layer}")
        if mine:
            found[layer] = mine[0]
    if not found:
        there = ", ".join(path.name for path in paths[:3])
        raise UserError(
            f"no file is named by a layer of the model, such as {where.mlp_out(0)}_*.npz; there "
            f"are {there}"
        )
    return found


def _width(model: PreTrainedModel, layer: int) -> int:
    """Return d_ff, the width of the layer's keys."""
    where = sites(model)
    return where.maths(model.get_parameter(where.weight(layer))).shape[1]


def _layer(model: PreTrainedModel, layer: int, path: Path) -> tuple[torch.Tensor, int]:
    """Return E[k k^T], (d_ff, d_ff) float64, and the number of tokens behind it."""
    width = _width(model, layer)
    head = corpus.header(path)
    if head.width != width:
        raise UserError(
            f"{path.name} is of layer {layer}: it holds {head.width} x {head.width} numbers, and "
            f"keys of this model need {width} x {width}"
        )
    # Files may be of another byte order or precision, of which torch has none.
    total = torch.from_numpy(corpus.statistic(path).sum.astype("float64"))
    return total.div_(head.count), head.count
