"""Names and digests."""

from hypothesis import given
from hypothesis import strategies as st

from ksmith.records import derived_seed, digest

WORD = st.text(st.characters(exclude_categories=["Cs"]))  # lone surrogates have no bytes


@given(st.integers(0, 2**63), st.lists(WORD | st.integers()))
def test_a_derived_seed_is_of_the_canonical_text(seed: int, names: list[str | int]) -> None:
    """Whoever reads a lab in another language can draw the same seeds."""
    assert derived_seed(seed, *names) == int(digest([seed, *names])[:16], 16) >> 1
