"""Gradient descent as it is usually written, through transformers: what tuning is held to.

The logits of the whole vocabulary at every position, autograd, torch's Adam on the weights
themselves, which are put back at the end.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ksmith.lm.delta import Delta, dense
from ksmith.lm.hypernetwork import Hypernetwork
from ksmith.lm.sites import sites
from ksmith.lm.text import Batch

Loss = Callable[[nn.Module, int], Tensor]  # of the model as it is, at a step


def descended(
    model: nn.Module,
    lengths: Mapping[str, float],
    loss: Loss,
    *,
    lr: float,
    steps: int,
    epsilon: float | None = None,
) -> dict[str, Tensor]:
    """Return how far the named weights move; each step is in that weight's unit of length."""
    weights = {name: model.get_parameter(name) for name in lengths}
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    groups = [{"params": [weights[name]], "lr": lr * unit} for name, unit in lengths.items()]
    # AdamW where nothing decays is Adam.
    adam = torch.optim.AdamW(groups, weight_decay=0.0)
    try:
        for weight in weights.values():
            weight.requires_grad_()
        for step in range(steps):
            adam.zero_grad()
            loss(model, step).backward()
            adam.step()
            for name, weight in weights.items() if epsilon is not None else ():
                most = (epsilon or 0.0) * lengths[name]
                with torch.no_grad():
                    weight.clamp_(before[name] - most, before[name] + most)
        return {name: weight.detach() - before[name] for name, weight in weights.items()}
    finally:
        for name, weight in weights.items():
            weight.requires_grad_(False)
            weight.grad = None
            weight.copy_(before[name])


def logp(model: nn.Module, batch: Batch) -> Tensor:
    """Return the log-probabilities of all words at all positions, (n, t, vocab)."""
    found = model(input_ids=batch.ids, attention_mask=batch.mask.long()).logits
    return found.log_softmax(-1)


def said(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the log-probability of each token after the first, and which are of answers."""
    words = logp(model, batch)[:, :-1]
    return words.gather(2, batch.ids[:, 1:, None])[..., 0], batch.answer[:, 1:]


def answered(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean over the tokens of answers of -log p."""
    found, mine = said(model, batch)
    return -(found * mine).sum() / mine.sum()


def mended(model: nn.Module, network: Hypernetwork, batch: Batch) -> Delta:
    """Return MEND's edit of one request: hooks on modules, and gradients of weights, too."""
    names: Sequence[str] = [matrix.name for matrix in network.matrices]
    given: dict[str, Tensor] = {}
    slopes: dict[str, Tensor] = {}
    handles: list[RemovableHandle] = []
    for name in names:

        def seen(
            _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name
        ) -> None:
            def back(slope: Tensor) -> None:
                slopes[name] = slope.flatten(0, -2)

            given[name] = inputs[0].detach().flatten(0, -2)
            output.register_hook(back)

        handles.append(model.get_submodule(name).register_forward_hook(seen))
    weights = [model.get_parameter(f"{name}.weight").requires_grad_() for name in names]
    try:
        found, mine = said(model, batch)
        (-(found * mine).sum()).backward()
    finally:
        for handle in handles:
            handle.remove()
        for weight in weights:
            weight.requires_grad_(False)
            weight.grad = None
    changed: dict[str, Tensor] = {}
    for matrix in network.matrices:
        u, d = given[matrix.name], slopes[matrix.name]
        felt = (d != 0).any(1)
        with torch.no_grad():
            block = dense(network.change(matrix, u[felt], d[felt]))
        changed[f"{matrix.name}.weight"] = block.T if sites(model).transposed else block
    return changed
