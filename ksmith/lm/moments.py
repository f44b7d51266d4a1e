"""Second moments E[k k^T] of the keys: what the inputs of each MLP's second matrix look like.

Uncentred, over all tokens that are not padding, as in Meng et al., "Locating and Editing
Factual Associations in GPT", NeurIPS 2022, arXiv:2202.05262.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ksmith.lm.sites import sites
from ksmith.lm.text import Batch, encode
from ksmith.records import UserError

Progress = Callable[[int, int, str], None]
BATCH = 4096  # tokens, padding included


class _Enough(Exception):
    """The last layer that is needed has been seen: the rest of the pass is not wanted."""


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

    All layers in one pass. The texts are read in their order, each as a row of its own, until
    `tokens` tokens have been counted; where the texts are too few, all of them count once.

    Raises:
        UserError: no texts, or a layer that the model has not.
    """
    if not texts:
        raise UserError("no texts to measure second moments on")
    where = sites(model)
    wanted = [where.layer(i) for i in (range(where.n_layers) if layers is None else layers)]
    names = {where.mlp_out(i): i for i in wanted}
    sums: dict[int, Tensor] = {}
    mask = torch.empty(0)  # the batch's, read by the hooks
    count = 0

    def add(name: str, keys: Tensor) -> None:
        rows = keys.reshape(-1, keys.shape[-1])[mask.flatten()].float()  # (tokens, d_ff)
        # The product in float32, the sum over batches in float64: exact enough, and fast.
        moment = (rows.T @ rows).double().cpu()
        layer = names[name]
        sums[layer] = moment if layer not in sums else sums[layer].add_(moment)
        if layer == max(wanted):
            raise _Enough

    with _watched(model, list(names), add):
        for batch in _batches(tokenizer, texts, tokens):
            batch = batch.to(model.device)
            mask = batch.mask
            try:
                with torch.no_grad():
                    model(input_ids=batch.ids, attention_mask=mask.long(), use_cache=False)
            except _Enough:
                pass
            count += int(mask.sum())
            if progress:
                progress(min(count, tokens), tokens, "second moments")
    return {layer: total / count for layer, total in sorted(sums.items())}, count


def save_moments(moments: Mapping[int, Tensor], count: int, path: Path) -> None:
    """Write the moments as "layer.<i>", with the count of tokens in the metadata."""
    tensors = {f"layer.{layer}": moment.contiguous() for layer, moment in moments.items()}
    save_file(tensors, path, {"count": str(count)})


def load_moments(path: Path) -> dict[int, Tensor]:
    """Return the moments by layer, as `save_moments` wrote them."""
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        return {int(name.removeprefix("layer.")): file.get_tensor(name) for name in names}


def _batches(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], tokens: int
) -> Iterator[Batch]:
    """Yield rows in the order of the texts, up to the one that reaches `tokens`."""
    left = tokens
    for start in range(0, len(texts), 64):
        rows = encode(tokenizer, texts[start : start + 64])
        before = rows.lengths.cumsum(0) - rows.lengths  # tokens in the rows above
        keep = int((before < left).sum())
        left -= int(rows.lengths[:keep].sum())
        yield from _split(rows, keep)
        if left <= 0:
            return


def _split(rows: Batch, keep: int) -> Iterator[Batch]:
    width = max(1, rows.ids.shape[1])
    size = max(1, BATCH // width)
    for start in range(0, keep, size):
        part = slice(start, min(keep, start + size))
        yield Batch(rows.ids[part], rows.mask[part], rows.answer[part])


@contextmanager
def _watched(
    model: PreTrainedModel, names: Sequence[str], add: Callable[[str, Tensor], None]
) -> Generator[None]:
    def watch(name: str) -> Callable[[Any, tuple[Any, ...]], None]:
        return lambda _module, given: add(name, given[0].detach())

    handles = [
        model.get_submodule(name).register_forward_pre_hook(watch(name)) for name in names
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
