"""To look at what modules give, and to change it, for the length of a block."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from ksmith.lm.sites import as_rows, sites

Change = Callable[
    [Tensor, Tensor], Tensor
]  # input, output -> another output, all (n, t, width)


def untouched(model: nn.Module) -> bool:
    """Return whether nobody looks at what modules of `model` give, or changes it."""
    return not any(
        vars(module)["_forward_hooks"]
        or vars(module)["_forward_pre_hooks"]
        or "forward" in vars(module)  # as what spreads a model over devices does
        for module in model.modules()
    )


@contextmanager
def rewired(model: nn.Module, n: int, changes: Mapping[str, Change]) -> Generator[None]:
    """Yield with the outputs of modules replaced, for batches of `n` rows."""

    def hook(change: Change) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def replace(_module: nn.Module, given: Any, output: Tensor) -> Tensor:
            return change(as_rows(given, n), as_rows(output, n)).reshape(output.shape)

        return replace

    with ExitStack() as stack:
        for name, change in changes.items():
            handle = model.get_submodule(name).register_forward_hook(hook(change))
            stack.callback(handle.remove)
        yield


@contextmanager
def watched(
    model: nn.Module, n: int, outputs: Sequence[str] = (), inputs: Sequence[str] = ()
) -> Generator[dict[str, Tensor]]:
    """Yield a dict that each pass of `n` rows fills: module -> its output, (n, t, width).

    For the modules in `inputs` it holds what goes in, under the name with " in" after it.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str, going_in: bool) -> Callable[[nn.Module, Any, Any], None]:
        def look(_module: nn.Module, given: Any, output: Any) -> None:
            if going_in:
                seen[f"{name} in"] = as_rows(given, n)
            else:
                seen[name] = as_rows(output, n)

        return look

    with ExitStack() as stack:
        for name, going_in in [*((o, False) for o in outputs), *((i, True) for i in inputs)]:
            handle = model.get_submodule(name).register_forward_hook(keep(name, going_in))
            stack.callback(handle.remove)
        yield seen


@contextmanager
def only_before(model: nn.Module, row: Tensor, column: Tensor) -> Generator[None]:
    """Yield with logits of the tokens before the places (row, column), (m,) each, alone.

    They come as (1, m, vocab): the head is wide, and sees no other tokens.
    """

    def pick(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (given[0][row, column - 1][None], *given[1:])

    handle = model.get_submodule(sites(model).head).register_forward_pre_hook(pick)
    try:
        yield
    finally:
        handle.remove()
