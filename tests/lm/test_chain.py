"""Chains of deltas: sums of segments, and the files they are kept in."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ksmith.lm.chain import Chain, joined, load_for, save
from ksmith.lm.delta import Block, Delta, LowRank, dense, load
from ksmith.records import UserError

ROWS, COLUMNS = 6, 10


def block(rank: int, seed: int) -> Block:
    """Return a pair of a rank; of rank 0 a dense block."""
    generator = torch.Generator().manual_seed(seed)
    if not rank:
        return torch.randn(ROWS, COLUMNS, generator=generator)
    left = torch.randn(ROWS, rank, generator=generator)
    return LowRank(left, torch.randn(rank, COLUMNS, generator=generator))


ranks = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), min_size=1, max_size=6)


@given(ranks)
def test_sum_of_any_blocks_is_the_dense_sum_in_no_more_room(
    made: list[tuple[int, str]],
) -> None:
    total: Delta = {}
    textbook = {name: torch.zeros(ROWS, COLUMNS, dtype=torch.float64) for name in "ab"}
    for seed, (rank, name) in enumerate(made):
        one = block(rank, seed)
        total = joined(total, {name: one})
        textbook[name] += dense(one).double()
    for name, found in total.items():
        torch.testing.assert_close(dense(found).double(), textbook[name], rtol=1e-5, atol=1e-5)
        if isinstance(found, LowRank):
            assert found.left.numel() + found.right.numel() < ROWS * COLUMNS


def test_totals_grow_by_segments_and_nothing_given_is_changed() -> None:
    first: Delta = {"a": block(1, 0)}
    second: Delta = {"a": block(1, 1), "b": block(0, 2)}
    before = dense(first["a"]).clone()
    chain = Chain((2, 5), [first, second])
    (one, early), (five, late) = chain.totals()
    assert (one, five) == (2, 5)
    assert set(early) == {"a"} and set(late) == {"a", "b"}
    assert torch.equal(dense(early["a"]), before) and torch.equal(dense(first["a"]), before)
    assert torch.equal(dense(chain.until(2)["a"]), before)
    assert set(chain.until()) == {"a", "b"}
    with pytest.raises(
        UserError, match="no model was kept after 3 facts; there are those after 2, 5"
    ):
        chain.until(3)


def test_what_comes_after_a_step_is_not_added_up() -> None:
    unfit: Delta = {"a": torch.zeros(1, ROWS * COLUMNS)}  # could not be added
    chain = Chain((1, 2, 3), [{"a": block(0, 0)}, {"a": block(0, 1)}, unfit])
    both = dense(block(0, 0)) + dense(block(0, 1))
    assert torch.equal(dense(chain.until(2)["a"]), both)


def test_file_gives_the_same_chain_and_belongs_to_its_weights(tmp_path: Path) -> None:
    chain = Chain((1, 3), [{"a": block(2, 0)}, {}])
    save(chain, tmp_path / "c.safetensors", {"base": "weights"})
    found = load_for(tmp_path / "c.safetensors", "weights")
    assert found.steps == (1, 3) and list(found.segments[1]) == []
    assert torch.equal(dense(found.segments[0]["a"]), dense(chain.segments[0]["a"]))
    with pytest.raises(UserError, match="computed on others"):
        load_for(tmp_path / "c.safetensors", "others")


@pytest.mark.parametrize("steps", ["", "1", "1,x", "1,2,3"])
def test_file_that_says_other_steps_is_refused(tmp_path: Path, steps: str) -> None:
    from ksmith.lm import delta

    delta.save([{}, {}], tmp_path / "c.safetensors", {"base": "weights", "steps": steps})
    with pytest.raises(UserError, match="is no chain: 2 changes"):
        load_for(tmp_path / "c.safetensors", "weights")
    assert len(load(tmp_path / "c.safetensors")[0]) == 2
