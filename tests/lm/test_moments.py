"""Second moments equal the textbook sum, for every architecture."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ksmith.lm.moments import _sorted, load_moments, save_moments, second_moments  # pyright: ignore[reportPrivateUsage]
from ksmith.lm.sites import sites
from ksmith.lm.text import Batch, encode
from ksmith.records import UserError
from tests.lm.models import CONFIGS, CONTEXTS, LAYERS, tiny, tokenizer

TEXTS = [*CONTEXTS, "Varen Tolu has the emblem otter .", "Mira"]


def textbook(model: Any, texts: list[str]) -> tuple[dict[int, torch.Tensor], int]:
    """Return E[k k^T] with one text after another, unpadded, everything in float64."""
    keys: dict[int, list[torch.Tensor]] = {i: [] for i in range(LAYERS)}

    def keep(layer: int) -> Callable[[Any, Any], None]:
        def hook(_module: Any, given: Any) -> None:
            keys[layer].extend(given[0].reshape(-1, given[0].shape[-1]))

        return hook

    where = sites(model)
    handles = [
        model.get_submodule(where.mlp_out(i)).register_forward_pre_hook(keep(i)) for i in keys
    ]
    for text in texts:
        model(input_ids=encode(tokenizer(), [text]).ids)
    for handle in handles:
        handle.remove()
    rows = {i: torch.stack(found).double() for i, found in keys.items()}
    return {i: row.T @ row / len(row) for i, row in rows.items()}, len(rows[0])


@pytest.mark.parametrize("kind", CONFIGS)
def test_padding_and_batches_make_no_difference(kind: str) -> None:
    model: Any = tiny(kind)
    expected, count = textbook(model, TEXTS)
    found, tokens = second_moments(model, tokenizer(), TEXTS, 10_000)
    assert tokens == count
    assert found.keys() == expected.keys()
    for layer, moment in found.items():
        assert moment.dtype == torch.float64
        torch.testing.assert_close(moment, expected[layer], rtol=1e-4, atol=1e-5)


def test_counting_stops_at_the_tokens_asked_for() -> None:
    model: Any = tiny("qwen3")
    first = int(encode(tokenizer(), TEXTS[:1]).lengths)
    found, tokens = second_moments(model, tokenizer(), TEXTS, first)
    expected, _ = textbook(model, TEXTS[:1])
    assert tokens == first
    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-5)


def test_layers_above_the_last_one_wanted_do_not_run() -> None:
    model: Any = tiny("qwen3")
    ran: list[int] = []

    def note(layer: int) -> Callable[..., None]:
        return lambda *_given: ran.append(layer)

    for i, block in enumerate(model.model.layers):
        block.register_forward_hook(note(i))
    found, _ = second_moments(model, tokenizer(), TEXTS, 100, layers=[1])
    assert list(found) == [1]
    assert ran == [0]  # block 1 is left in its MLP
    model(input_ids=encode(tokenizer(), TEXTS[:1]).ids)  # no hook of ours is left behind
    assert ran == [0, 0, 1, 2]


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    second_moments(
        tiny("gpt2"),  # type: ignore[arg-type]
        tokenizer(),
        TEXTS * 30,
        50,
        lambda done, total, _text: told.append((done, total)),
    )
    assert told[-1] == (50, 50)


@pytest.mark.parametrize(
    ("texts", "layers", "message"), [([], None, "no texts"), (TEXTS, [7], "no layer 7")]
)
def test_mistakes(texts: list[str], layers: list[int] | None, message: str) -> None:
    model: Any = tiny("gpt2")
    with pytest.raises(UserError, match=message):
        second_moments(model, tokenizer(), texts, 10, layers=layers)


def test_saving_keeps_every_bit(tmp_path: Path) -> None:
    moments, count = second_moments(tiny("llama"), tokenizer(), TEXTS, 100)  # type: ignore[arg-type]
    save_moments(moments, count, tmp_path / "moments.safetensors")
    opened = load_moments(tmp_path / "moments.safetensors")
    assert opened.keys() == moments.keys()
    assert all(torch.equal(opened[i], moments[i]) for i in moments)


def test_rows_of_no_tokens_have_a_column_of_padding() -> None:
    mask = torch.tensor([[True, True], [False, False], [False, False]])
    rows = Batch(torch.zeros(3, 2, dtype=torch.long), mask, torch.zeros_like(mask))
    assert [part.ids.shape for part in _sorted(rows, 3, 2)] == [(1, 2), (2, 1)]
