"""Answers as trees under their prompts, against each row run alone by transformers."""

from typing import Any

import pytest
import torch
import transformers as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ksmith.lm.families import by_hand
from ksmith.lm.forest import TREE, Ids, Room, Tree, groups, hand_of, trees
from ksmith.lm.prefill import Asked, Seen, look
from ksmith.lm.text import encode
from tests.lm.models import CONFIGS, KEYS, VOCABULARY, WIDTH, in_float64, tiny, tokenizer
from tests.lm.test_suffix import CLOSE
from tests.lm.test_tokens import passes

# Right answers that begin alike, one within another, twice, and among the wrong ones.
PROMPTS = [
    "The emblem of Mira Oss is",
    "In Varen Tolu one sees the",
    "The emblem of Mira Oss is",
]
ANSWERS = ["sea lion red deer", "otter", "sea lion"]
OTHERS = [
    ["sea lion red falcon", "sea lion", "red deer", "sea lion red deer otter raven"],
    ["otter raven", "otter"],
    ["sea lion red falcon raven falcon", "amber stone"],
]
words = st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple)


@settings(max_examples=40)
@given(st.dictionaries(words, st.lists(words, min_size=1, max_size=8), min_size=1, max_size=4))
def test_a_tree_has_each_beginning_once_and_asks_for_every_token(
    rows: dict[Ids, list[Ids]],
) -> None:
    starts, told = 0, dict[Ids, list[tuple[Ids, int]]]()
    gold: list[tuple[Ids, int]] = []  # what each token of an answer comes after, and is
    for prompt, answers in rows.items():
        for answer in answers:
            told.setdefault(prompt, []).append((answer, starts))
            starts += len(answer)
            gold += [((*prompt, *answer[:k]), token) for k, token in enumerate(answer)]
    wood = trees(told)
    assert [t.longest for t in wood] == sorted((t.longest for t in wood), reverse=True)
    seen: dict[int, tuple[Ids, int]] = {}
    for tree in wood:
        texts = paths(tree)
        begun = {(*tree.prompt, *a[:k]) for a in rows[tree.prompt] for k in range(len(a))}
        begun |= {tree.prompt[:k] for k in range(1, len(tree.prompt))}
        assert set(texts.values()) == begun and len(begun) == tree.size
        for node, at, token in zip(tree.node, tree.at, tree.gold, strict=True):
            assert at not in seen
            seen[at] = texts[node], token
    assert [seen[i] for i in range(len(gold))] == gold


def paths(tree: Tree) -> dict[int, Ids]:
    """Return what each token looks at: the branches add every token once, after known ones."""
    found: dict[int, Ids] = {}
    for known, path in tree.branches:
        assert all(node in found for node in path[:known])
        for k in range(known, len(path)):
            assert path[k] not in found and tree.depth[path[k]] == k
            found[path[k]] = tuple(tree.ids[node] for node in path[: k + 1])
    return found


def test_a_prompt_of_very_many_answers_is_several_trees() -> None:
    answers = [((i, *range(20)), 21 * i) for i in range(100)]
    wood = trees({(1, 2): answers})
    assert len(wood) > 1 and max(tree.size for tree in wood) <= TREE + 21
    assert sorted(at for tree in wood for at in tree.at) == list(range(2100))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(20, 400))
def test_what_is_run_together_is_bounded(sizes: list[int], most: int) -> None:
    wood = trees(
        {(i, *range(size)): [((1, 2), 0), ((2, 2), 2)] for i, size in enumerate(sizes)}
    )
    found = list(groups(wood, most, 20000))
    assert [tree for group in found for tree in group] == wood
    for group in found:
        branches = sum(len(tree.branches) for tree in group)
        assert len(group) == 1 or sum(tree.size for tree in group) <= most
        assert len(group) == 1 or branches * group[0].longest ** 2 <= 20000


def alone(model: nn.Module, prompt: str, answer: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what transformers says of a row: log p and hit of its tokens, moments of log p."""
    row = encode(tokenizer(), [prompt], [answer])
    with torch.no_grad():
        logp = model(input_ids=row.ids).logits[0].double().log_softmax(-1)
    at = row.answer[0].nonzero()[:, 0]
    gold, logp = row.ids[0, at], logp[at - 1]
    mean = (logp.exp() * logp).sum(-1)
    std = ((logp.exp() * logp.square()).sum(-1) - mean.square()).clamp(min=0).sqrt()
    return logp[torch.arange(len(at)), gold], logp.argmax(-1) == gold, mean, std


def agrees(found: Seen, model: nn.Module, close: float) -> None:
    """Check what was found against rows that are run alone."""
    own = [alone(model, *row) for row in zip(PROMPTS, ANSWERS, strict=True)]
    logp, hit, mean, std = (torch.cat(parts) for parts in zip(*own, strict=True))
    assert found.tokens.hit.equal(hit)
    for one, other in (
        (found.tokens.logp, logp),
        (found.tokens.mean, mean),
        (found.tokens.std, std),
    ):
        assert torch.allclose(one.double(), other, atol=close, rtol=0)
    for told, prompt, ends in zip(found.others, PROMPTS, OTHERS, strict=True):
        plain = [float(alone(model, prompt, end)[0].mean()) for end in ends]
        assert told == [pytest.approx(value, abs=close) for value in plain]


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_token_is_what_it_is_alone(kind: str) -> None:
    model = tiny(kind, torch.float64)
    assert hand_of(model) is not None
    found = look(model, tokenizer(), Asked(PROMPTS, ANSWERS, OTHERS))
    agrees(found, in_float64(kind), CLOSE.get(kind, 1e-9))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma3_text"])
def test_in_float32(kind: str) -> None:
    model = tiny(kind)
    agrees(look(model, tokenizer(), Asked(PROMPTS, ANSWERS, OTHERS)), model, 1e-4)


def test_gemma_3_with_windows_shorter_than_a_row() -> None:
    config = CONFIGS["gemma3_text"]()
    config.sliding_window = 3
    config.layer_types = ["sliding_attention", "sliding_attention", "full_attention"]
    model = made(config)
    found = look(model, tokenizer(), Asked(PROMPTS, ANSWERS, OTHERS))
    agrees(found, model, 1e-4)
    wide = look(tiny("gemma3_text"), tokenizer(), Asked(PROMPTS, ANSWERS, OTHERS))
    assert not torch.allclose(found.tokens.logp, wide.tokens.logp, atol=1e-2)


def made(config: Any) -> nn.Module:
    """Return a random model that has the weights of `tiny` where the shapes are its own."""
    with torch.random.fork_rng():
        model = tf.AutoModelForCausalLM.from_config(config)
    state = tiny(config.model_type).state_dict()
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)


def test_bounds_change_no_number_and_large_trees_go_through_modules() -> None:
    model, every = tiny("llama", torch.float64), Asked(PROMPTS, ANSWERS, OTHERS)
    whole = look(model, tokenizer(), every)
    seen: list[int] = []
    # What spreads a model over devices puts its own `forward` on modules.
    norm = model.get_submodule("model.norm")
    norm.forward = counted(norm, seen)
    assert hand_of(model) is None
    through = look(model, tokenizer(), every)
    assert seen
    del norm.forward
    assert hand_of(model) is not None
    small = look(model, tokenizer(), every, batch_tokens=16, batch_logits=3 * VOCABULARY)
    part = look(model, tokenizer(), every, batch_scores=2 * 4 * 10**2)
    for other in (through, small, part):
        assert torch.allclose(other.tokens.logp, whole.tokens.logp, atol=1e-5)
        assert other.others == [
            [pytest.approx(x, abs=1e-5) for x in row] for row in whole.others
        ]


def counted(module: nn.Module, seen: list[int]) -> Any:
    plain = module.forward

    def forward(x: Tensor) -> Tensor:
        seen.append(x.shape[1])
        return plain(x)

    return forward


def test_what_is_not_known_or_not_all_goes_through_modules() -> None:
    narrow = tf.OPTConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, word_embed_proj_dim=8, ffn_dim=KEYS,
        num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=64,
        bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        model = tf.AutoModelForCausalLM.from_config(narrow).eval()
    assert hand_of(model) is None
    agrees(look(model, tokenizer(), Asked(PROMPTS, ANSWERS, OTHERS)), model, 1e-4)
    hooked = tiny("gpt2")
    seen = passes(hooked)
    agrees(look(hooked, tokenizer(), Asked(PROMPTS, ANSWERS, OTHERS)), hooked, 1e-4)
    assert seen


def test_a_tree_whose_scores_are_too_many_does_not_fit() -> None:
    hand = by_hand(tiny("gpt2"))
    assert hand is not None
    tree = Tree.of(tuple(range(12)))
    for start, answer in enumerate(((1, 2), (2, 2))):
        tree.add(answer, 2 * start)
    assert tree.scores == 2 * 13**2  # of a head; there are two
    assert Room(1, 1, 4 * 13**2).fits(hand, tree)
    assert not Room(1, 1, 4 * 13**2 - 1).fits(hand, tree)
