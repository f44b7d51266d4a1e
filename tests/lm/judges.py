"""Tiny random models that read: what a user's folders of them hold."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertTokenizer,
)

NLI = ("entailment", "neutral", "contradiction")
TAGS = ("O", "B-PER", "I-PER", "LOC")
WORDS = ("oslo", "bergen", "old", "town", "of", "the", "is", "ada", "byron", "##s", ".", "?")
ROOM = 24  # tokens of a row
KINDS: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "judge_nli": (BertForSequenceClassification, NLI),
    "judge_similarity": (BertModel, ()),
    "judge_entities": (BertForTokenClassification, TAGS),
}


def tokenizer(words: tuple[str, ...] = WORDS, room: int = ROOM) -> Any:
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    return BertTokenizer(
        vocab={word: i for i, word in enumerate((*special, *words))}, model_max_length=room
    )


def reader(
    role: str,
    *,
    labels: tuple[str, ...] | None = None,
    said: str | None = None,
    room: int = ROOM,
    words: tuple[str, ...] = WORDS,
) -> Any:
    """Return a random model of two layers; `said` is the label that it gives whatever it reads."""
    kind, usual = KINDS[role]
    names = usual if labels is None else labels
    config = BertConfig(
        vocab_size=len(words) + 5,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=room,
        initializer_range=0.5,
    )
    if names:
        config.id2label = dict(enumerate(names))
    with torch.random.fork_rng(devices=[]):  # transformers draws its weights globally
        torch.random.manual_seed(0)
        model = kind(config).eval()
    if said is not None:
        model.classifier.weight.data.zero_()
        model.classifier.bias.data.copy_(torch.tensor([float(n == said) for n in names]))
    return model


def judge(folder: Path, role: str, **more: Any) -> Path:
    """Return a folder with a model that reads and its tokenizer."""
    reader(role, **more).save_pretrained(folder)
    words, room = more.get("words", WORDS), more.get("room", ROOM)
    tokenizer(words, room).save_pretrained(folder)
    return folder
