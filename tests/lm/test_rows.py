"""What modules give at a subject is the same by hand, from trees, as from whole rows."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ksmith.lm.hooks import rewired, watched
from ksmith.lm.rows import at_subject, prefixes, rows, run, unchanged
from ksmith.lm.sites import sites
from ksmith.lm.tree import trees
from tests.lm.models import CONFIGS, CONTEXTS, LAYERS, in_float64, tiny, tokenizer
from tests.lm.test_suffix import ASKED, CLOSE, DTYPE, asked_rows, written


@pytest.mark.parametrize("change", ["unchanged", "written"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_at_subject(kind: str, change: str) -> None:
    asked = asked_rows()
    wiring = unchanged if change == "unchanged" else written(kind, 1)
    s = sites(tiny(kind))
    for last in range(LAYERS):
        outputs = [s.mlp_out(last), s.block(last), s.block(0)]
        inputs = [s.mlp_out(last), s.mlp_out(0)]
        model = tiny(kind, DTYPE.get(kind, torch.float64))
        found = at_subject(model, asked, outputs, inputs, wiring)
        modules = tiny(kind) if kind in DTYPE else in_float64(kind)
        n, stop = len(asked.ids), asked.at + 1
        with (
            torch.no_grad(),
            rewired(modules, n, wiring(asked.owner)),
            watched(modules, n, outputs, inputs) as seen,
        ):
            run(modules, asked.ids[:, :stop], asked.mask[:, :stop], None, logits=1)
        assert found.keys() == seen.keys()
        for name, value in seen.items():
            close = CLOSE.get(kind, 1e-11)
            assert torch.allclose(found[name], value[:, -1], atol=close, rtol=close), name


def test_other_modules_are_watched() -> None:
    model, asked = tiny("llama"), asked_rows()
    name = "model.layers.1.self_attn.o_proj"
    assert at_subject(model, asked, [name])[name].shape == (len(asked.ids), 16)


def path_texts(ids: Tensor, path: Tensor, mask: Tensor) -> list[list[int]]:
    return [ids[row[there]].tolist() for row, there in zip(path, mask, strict=True)]


@pytest.mark.parametrize("apart", [True, False])
def test_trees_hold_each_row_and_share_what_is_alike(apart: bool) -> None:
    asked = asked_rows()
    grown = trees(asked.ids, asked.mask, asked.at, asked.kin(apart=apart))
    texts = [ids[mask].tolist() for ids, mask in zip(asked.ids, asked.mask, strict=True)]
    assert path_texts(grown.ids, grown.path, asked.mask) == texts
    m = grown.before.shape[1]
    for i, text in enumerate(texts):
        path = grown.path[i][asked.mask[i]]
        assert grown.positions[path].tolist() == list(range(len(text)))
        last = grown.before[path[-1] // m, path[-1] % m].nonzero()[:, 0]
        assert set(last.tolist()) == set((path % m).tolist())
    used = len(set(grown.path[asked.mask].tolist()))
    assert used < sum(map(len, texts)) - (0 if apart else 10)


def test_what_stands_before_a_subject_is_cut_off() -> None:
    asked = asked_rows()
    grown = trees(asked.ids, asked.mask, asked.at, asked.kin(apart=False))
    cut, before = grown.beginning(), asked.mask[:, : asked.at]
    heads = asked.ids[:, : asked.at]
    texts = [ids[mask].tolist() for ids, mask in zip(heads, before, strict=True)]
    assert path_texts(cut.ids, cut.path[:, : asked.at], before) == texts
    assert len(cut.ids) < len(grown.ids)


def test_means_add_up_rows_in_their_order() -> None:
    """Also where a request's rows are not side by side, or there are none."""
    asked = asked_rows()
    mixed = asked.take(
        torch.randperm(len(asked.ids), generator=torch.Generator().manual_seed(0))
    )
    mixed = replace(mixed.where(mixed.owner != 1), b=asked.b + 1)
    values = torch.rand(len(mixed.ids), 5, generator=torch.Generator().manual_seed(1))
    found = mixed.mean(values)
    for request in range(mixed.b):
        mine, total = values[mixed.owner == request], torch.zeros(5)
        for row in mine:
            total = total + row
        assert torch.equal(found[request], total / max(1, len(mine)))
    assert found[1].eq(0).all(), "it has no row"
    nothing = replace(mixed.where(mixed.owner < 0), b=0)
    assert nothing.mean(values[:0]).shape == (0, 5)


def test_some_requests_are_narrowed_to_their_own_width() -> None:
    asked = asked_rows()
    one = asked.of(torch.tensor([2]))
    alone = rows(tokenizer(), ASKED[2:], prefixes(CONTEXTS, 3), "{} is a")
    for name in ("ids", "mask", "owner", "bare", "stay", "gold"):
        assert torch.equal(getattr(one, name), getattr(alone, name)), name
    assert (one.at, one.b) == (alone.at, alone.b)
