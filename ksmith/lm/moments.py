"""Second moments E[k k^T] of the keys: what the inputs of each MLP's second matrix look like.

Uncentred, over all tokens that are not padding, as in Meng et al., "Locating and Editing
Factual Associations in GPT", NeurIPS 2022, arXiv:2202.05262.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ksmith.corpus import START, Document, Place
from ksmith.lm.room import free_bytes
from ksmith.lm.sites import Sites, sites
from ksmith.lm.template import PLAIN
from ksmith.lm.text import Batch, encode
from ksmith.records import UserError

Progress = Callable[[int, int, str], None]
BATCH = 4096  # tokens, padding included
GPU_BATCH = 32_768  # ... that keep a GPU busy
# Half-precision keys of one product: a GPU's sums of many such lose digits (measured on an H200,
# largest error by the mean of the diagonal: 1e-5 with 1,024, as in float32; 1e-3 with 32,768).
HALF_BATCH = 1024
CHUNK = 64  # documents that are read together
LETTERS = (
    16  # of a document that are read for each token of a row: a word of a language has five
)
MEMORY = 0.8  # of a machine's memory that sums may take


class _Enough(Exception):
    """The last layer that is needed has been seen: the rest of the pass is not wanted."""


@dataclass(slots=True)
class Sums:
    """What has been seen of a corpus so far."""

    sums: dict[int, Tensor] = field(
        default_factory=dict[int, Tensor]
    )  # layer -> (f, f) float64
    tokens: int = 0
    documents: int = 0
    place: Place = START  # where the next document begins

    def moments(self) -> dict[int, Tensor]:
        """Return E[k k^T] by layer, each (d_ff, d_ff) float64 on the CPU; the sums are used up."""
        return {layer: self.sums[layer].cpu().div_(self.tokens) for layer in sorted(self.sums)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be counted."""

    tokens: int
    layers: Sequence[int] | None = None  # None: all
    # Tokens of a document that are read, as the papers cut theirs. None: nothing is cut, and a
    # document that is too long for the model is an error.
    length: int | None = None


def second_moments(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    tokens: int,
    progress: Progress | None = None,
    *,
    layers: Sequence[int] | None = None,
) -> tuple[dict[int, Tensor], int]:
    """Return E[k k^T] by layer, each (d_ff, d_ff) float64 on the CPU, and the count of tokens.

    The texts are read in their order, each as a row of its own, until `tokens` tokens have been
    counted; where the texts are too few, all of them count once.

    Raises:
        UserError: no texts, or a layer that the model has not.
    """
    documents = (Document(text, Place(i)) for i, text in enumerate(texts, start=1))
    plan = Plan(tokens=tokens, layers=layers)
    counted = Sums()
    for _ in count(model, tokenizer, documents, plan, counted, progress):
        pass
    return counted.moments(), counted.tokens


def count(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Iterable[Document],
    plan: Plan,
    so_far: Sums,
    progress: Progress | None = None,
) -> Iterator[Sums]:
    """Yield `so_far` with the keys of a few more documents added, until there are enough.

    All layers in one pass. Each document, those from `so_far.place` on, is a row of its own, up
    to the one that reaches the tokens of the plan, those counted before included. To stop at
    any yield and to go on from a copy gives the same bits as not to stop.

    Raises:
        UserError: no documents, a layer that the model has not, rows longer than the model
            takes, or sums that do not fit into memory.
    """
    where = sites(model)
    asked = range(where.n_layers) if plan.layers is None else plan.layers
    names = {where.mlp_out(where.layer(i)): i for i in asked}
    home = _home(model, where, list(names.values()))
    _check_length(model, tokenizer, plan.length)
    mask = torch.empty(0)  # the batch's, read by the hooks

    def add(layer: int, keys: Tensor) -> None:
        rows = keys.reshape(-1, keys.shape[-1])[mask.flatten()]  # (tokens, d_ff)
        moment = _moment(rows).to(home)
        there = so_far.sums.get(layer)
        so_far.sums[layer] = moment if there is None else there.to(home).add_(moment)
        if layer == max(names.values()):
            raise _Enough

    unread = iter(documents)
    while so_far.tokens < plan.tokens and (chunk := list(islice(unread, CHUNK))):
        with _watched(model, names, add):
            for batch in _batches(model, tokenizer, chunk, plan, plan.tokens - so_far.tokens):
                mask = batch.mask
                _run(model, batch)
                so_far.tokens += int(mask.sum())
                so_far.documents += len(mask)
                if progress:
                    progress(min(so_far.tokens, plan.tokens), plan.tokens, "second moments")
        so_far.place = chunk[-1].after
        yield so_far
    if not so_far.tokens:
        raise UserError("no texts to measure second moments on")


def _run(model: PreTrainedModel, batch: Batch) -> None:
    mask = batch.mask.long()
    try:
        with torch.no_grad():
            model(input_ids=batch.ids, attention_mask=mask, use_cache=False)
    except _Enough:
        pass


def _moment(rows: Tensor) -> Tensor:
    """Return the sum over rows (tokens, f) of k k^T, (f, f) float64.

    Products in float32, their sum in float64: exact enough, and fast. Half-precision keys on a
    GPU are multiplied as they are, ten times as fast: a product of two is exact in float32.
    """
    half = rows.is_cuda and rows.dtype in (torch.bfloat16, torch.float16)
    first, *others = rows.split(HALF_BATCH if half else BATCH)
    total = _product(first, half=half).double()
    for part in others:
        total.add_(_product(part, half=half))
    return total


def _product(rows: Tensor, *, half: bool) -> Tensor:
    if half:
        return torch.mm(rows.T, rows, out_dtype=torch.float32)
    rows = rows.float()
    return rows.T @ rows


def _home(model: PreTrainedModel, where: Sites, layers: Sequence[int]) -> torch.device:
    """Return where the sums lie: with the model if they fit there, else on the CPU.

    Raises:
        UserError: they fit nowhere.
    """
    width = where.maths(model.get_parameter(where.weight(layers[0]))).shape[1]
    needed = len(layers) * width**2 * torch.float64.itemsize
    spare = width**2 * torch.float64.itemsize  # for a batch's own moment
    gpu = model.device.type == "cuda"
    if gpu and needed < MEMORY * (free_bytes(model.device) - spare):
        return model.device
    check_memory(len(layers), width)
    return torch.device("cpu")


def check_memory(layers: int, width: int) -> None:
    """Check that the machine holds moments of so many layers with keys of this width.

    Raises:
        UserError: it does not.
    """
    needed = layers * width**2 * torch.float64.itemsize
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > MEMORY * there:
        raise UserError(
            f"second moments of {layers} layers with keys of width {width:,} take "
            f"{needed / 1e9:.0f} GB, and this machine has {there / 1e9:.0f} GB: name the layers "
            "that are edited in moments.layers"
        )


def _check_length(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, length: int | None
) -> None:
    # A tokenizer that was told nothing has a huge number here.
    most = min(
        getattr(model.config, "max_position_embeddings", 1 << 62), tokenizer.model_max_length
    )
    if length is not None and length > most:
        raise UserError(f"moments.length = {length:,}: the model takes {most:,} tokens at once")


# --- rows -------------------------------------------------------------------------------------


def _batches(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    chunk: Sequence[Document],
    plan: Plan,
    left: int,
) -> Iterator[Batch]:
    """Yield rows in the order of the documents, up to the one that reaches `left` tokens.

    Rows of documents that are cut are sorted by length: a corpus has short and long ones. A
    document is nobody's turn: it is read as plain text, whatever the form of prompts.
    """
    texts = [document.text for document in chunk]
    size = GPU_BATCH if model.device.type == "cuda" else BATCH
    if plan.length is None:
        rows = encode(tokenizer, texts, form=PLAIN)
        parts = _alike(rows, _needed(rows, left), BATCH)
    else:
        texts = [text[: LETTERS * plan.length] for text in texts]
        rows = _columns(encode(tokenizer, texts, limit=1 << 62, form=PLAIN), plan.length)
        parts = _sorted(rows, _needed(rows, left), size)
    for part in parts:
        yield part.to(model.device)


def _needed(rows: Batch, left: int) -> int:
    """Return how many rows, from the first on, it takes to reach `left` tokens."""
    before = rows.lengths.cumsum(0) - rows.lengths  # tokens in the rows above
    return int((before < left).sum())


def _alike(rows: Batch, keep: int, size: int) -> Iterator[Batch]:
    """Yield the first `keep` rows, in batches of one width, padding included."""
    many = max(1, size // max(1, rows.ids.shape[1]))
    for start in range(0, keep, many):
        yield _rows(rows, torch.arange(start, min(keep, start + many)))


def _sorted(rows: Batch, keep: int, size: int) -> Iterator[Batch]:
    """Yield the first `keep` rows, the longest first, in batches as wide as their widest row."""
    order = rows.lengths[:keep].argsort(descending=True, stable=True)
    start = 0
    while start < keep:
        width = max(1, int(rows.lengths[order[start]]))  # of rows of nothing, one of padding
        many = max(1, size // width)
        yield _columns(_rows(rows, order[start : start + many]), width)
        start += many


def _rows(rows: Batch, which: Tensor) -> Batch:
    return Batch(rows.ids[which], rows.mask[which], rows.answer[which])


def _columns(rows: Batch, many: int) -> Batch:
    return Batch(rows.ids[:, :many], rows.mask[:, :many], rows.answer[:, :many])


@contextmanager
def _watched(
    model: PreTrainedModel, names: Mapping[str, int], add: Callable[[int, Tensor], None]
) -> Generator[None]:
    def watch(layer: int) -> Callable[[Any, tuple[Any, ...]], None]:
        return lambda _module, given: add(layer, given[0].detach())

    handles = [
        model.get_submodule(name).register_forward_pre_hook(watch(layer))
        for name, layer in names.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# --- files ------------------------------------------------------------------------------------


def save_moments(moments: Mapping[int, Tensor], count: int, path: Path) -> None:
    """Write the moments as "layer.<i>", with the count of tokens in the metadata."""
    tensors = {f"layer.{layer}": moment.contiguous() for layer, moment in moments.items()}
    save_file(tensors, path, {"count": str(count)})


@final
class Moments(Mapping[int, Tensor]):
    """The moments in a file, by layer; each is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with safe_open(path, framework="pt") as file:
            self._layers = sorted(int(name.removeprefix("layer.")) for name in file.keys())  # noqa: SIM118

    def __getitem__(self, layer: int) -> Tensor:
        if layer not in self._layers:
            raise KeyError(layer)
        with safe_open(self._path, framework="pt") as file:
            return file.get_tensor(f"layer.{layer}")

    def __iter__(self) -> Iterator[int]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


def load_moments(path: Path) -> Moments:
    """Return the moments by layer, as `save_moments` wrote them."""
    return Moments(path)


def save_sums(counted: Sums, weights: str, path: Path) -> None:
    """Write what was counted so far, and of which weights (a digest), to go on from."""
    place = counted.place
    numbers = {"tokens": counted.tokens, "documents": counted.documents}
    about = {**numbers, "at": place.at, "line": place.line}
    tensors = {f"layer.{i}": total.cpu().contiguous() for i, total in counted.sums.items()}
    save_file(tensors, path, {"weights": weights, **{k: str(v) for k, v in about.items()}})


def load_sums(path: Path, weights: str) -> Sums | None:
    """Return what `save_sums` wrote, or None where it is damaged or of other weights."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about["weights"] != weights:
                return None
            names = list(file.keys())
            return Sums(
                sums={
                    int(name.removeprefix("layer.")): file.get_tensor(name) for name in names
                },
                tokens=int(about["tokens"]),
                documents=int(about["documents"]),
                place=Place(int(about["at"]), int(about["line"])),
            )
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
