"""A model fine-tuned through its chat template knows what it learnt when it is asked in it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ksmith import graph, study
from ksmith.lm import template
from ksmith.lm.load import load, save
from ksmith.lm.sample import texts
from ksmith.lm.score import score
from ksmith.lm.text import build_tokenizer
from ksmith.records import UserError
from ksmith.worker.reads import check_texts, ends
from tests.graph.test_qa import pair, retain, saved
from tests.lm.chats import CHATML, MARKS
from tests.lm.test_sample import wanted
from tests.lm.test_score import question
from tests.worker.test_gold_given import made

FORGET = [pair(i, answer=f"Basil {i} comes from town {i}.") for i in range(6)]
RETAIN = [pair(i, "Mira", answer=f"Mira {i} comes from port {i}.") for i in range(12)]
STUDY = """
name = "chat"
question = "Does a model know what it was taught?"
[graph]
source = "qa"
forget = "forget.jsonl"
retain = "retain.jsonl"
[model]
load = "model"
[task]
kind = "unlearn"
method = "npo"
share = 1
draws = 1
[method.npo]
steps = 2
[probe]
kinds = ["efficacy"]
memory = true
drift = false
[grid]
"model.template" = ["none", "chat"]
"""


def conversations() -> list[list[dict[str, str]]]:
    """Return TOFU-shaped training: each question, in two wordings, as a turn of its own."""
    return [
        [
            {"role": "user", "content": wording.format(row["question"])},
            {"role": "assistant", "content": row["answer"]},
        ]
        for row in (*FORGET, *RETAIN)
        for wording in ("{}", "Question: {} Answer:")
    ]


def taught(folder: Path) -> None:
    """Write a small model that was trained as transformers trains, on conversations alone."""
    said = conversations()
    words = [turn["content"] for talk in said for turn in talk]
    # Right after a mark of the template a word has no space before it.
    first = [text.split()[0] for text in words]
    tokenizer: Any = build_tokenizer([*words, *(f"\n{w}" for w in first), "user", "assistant"])
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKS["chatml"])})
    tokenizer.chat_template = CHATML
    rows = [tokenizer.apply_chat_template(talk, return_dict=False) for talk in said]
    starts = [
        len(tokenizer.apply_chat_template(talk[:1], add_generation_prompt=True)["input_ids"])
        for talk in said
    ]
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=96,
        bos_token_id=0,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
    )
    model: Any = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.02, generator=generator)
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    place = torch.arange(width)
    first, size = torch.tensor(starts)[:, None], torch.tensor([len(r) for r in rows])[:, None]
    labels = torch.where((place >= first) & (place < size), ids, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
    save(model.eval(), tokenizer, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with questions, a model that was taught them, and a study."""
    made = tmp_path_factory.mktemp("chat")
    saved(made, forget=FORGET, retain=RETAIN)
    taught(made / "model")
    (made / "s.toml").write_text(STUDY)
    return made


def test_it_is_known_through_the_template_and_not_without(folder: Path) -> None:
    plain, chat = (study.nodes(point) for point in study.read(folder / "s.toml").points)
    assert plain["graph"].key == chat["graph"].key
    for role in ("model", "before", "update", "trial"):
        assert plain[role].key != chat[role].key, role
    lab, said, digests = folder / "lab", dict[str, float](), dict[str, Any]()
    for name, nodes in (("none", plain), ("chat", chat)):
        warm: dict[str, Any] = {}
        for role in nodes:
            if role not in ("model", "before") and (name == "none") != (role == "graph"):
                continue  # one graph serves both, and one trial is enough
            outcome = made(lab, nodes, role, warm)
            assert outcome.error is None, outcome.traceback
            digests[f"{name} {role}"] = outcome.info.get("digests")
        rows = pl.read_parquet(lab / "assets" / nodes["before"].key / "1-1" / "memory.parquet")
        forget = rows.filter(set="forget")
        right = (forget["generated"] == forget["answer"]).to_list()
        said[name] = sum(right) / len(FORGET)
    assert said["chat"] > 0.8 and said["none"] < 0.2
    text = (lab / "outcomes" / chat["trial"].key / "1-1" / "metrics.json").read_text()
    (known,) = (m["value"] for m in json.loads(text) if m["measure"] == "known")
    assert known > 0.8
    ends = [tokens[-1] for tokens in forget["logp"].to_list()]
    assert forget["ended"].all() and min(ends) > -0.5  # it was tuned with the end of a turn
    before = digests["chat before"]
    assert before["end"] == digests["chat trial"]["end"] != digests["none before"]["end"]
    assert digests["chat trial"]["template"] == before["template"]
    assert "template" not in digests["none before"] and len(before["template"]) == 64
    assert digests["none before"]["questions"] == before["questions"]
    assert digests["none before"]["prompts"] != before["prompts"]


def test_an_answer_stops_where_the_turn_does(folder: Path) -> None:
    model, tokenizer = load(folder / "model")
    end: Any = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert ends(model) == end
    assert tokenizer.eos_token_id != end
    form = template.put(tokenizer, {"template": "chat"}, ends(model))
    assert form.ends == {end}
    longer = "Basil 1 comes from town 1. He was born there. He was"
    asked = question(0, FORGET[1]["question"], (FORGET[1]["answer"], longer))
    (answer,) = score(model, tokenizer, [asked])
    assert answer.generated == "Basil 1 comes from town 1."[: len(answer.generated or "")]
    assert str(answer.generated).startswith("Basil 1 comes from town 1")
    assert answer.argmax[0]


def test_a_sampled_text_is_the_prompt_and_what_is_said_to_it(folder: Path) -> None:
    model, tokenizer = load(folder / "model")
    template.put(tokenizer, {"template": "chat"}, ends(model))
    prompts = [row["question"] for row in FORGET[:3]]
    found = texts(model, tokenizer, [wanted(i, text, 40) for i, text in enumerate(prompts)])
    for text, row in zip(found, FORGET, strict=False):
        assert text == f"{row['question']} {row['answer']}"


def test_what_is_too_long_is_said_before_the_weights_are_read(
    folder: Path, tmp_path: Path
) -> None:
    files = saved(tmp_path, forget=FORGET, retain=[*retain(), pair(30, "x " * 60 + "Odo")])
    known = graph.build({"source": "qa", "version": 1, "seed": 0}, files)
    source = tmp_path / "model"
    source.mkdir()
    for path in (folder / "model").iterdir():
        if path.suffix != ".safetensors":
            (source / path.name).write_bytes(path.read_bytes())
    (source / "model.safetensors").write_bytes(b"no weights at all")
    for said in ({}, {"template": "chat"}):
        with pytest.raises(UserError, match=r"graph\.retain: 1\d\d tokens, but the model") as e:
            check_texts(known, str(source), None, said)
        assert "takes 96: " in str(e.value) and "Where was the author x x" in str(e.value)
    # A few tokens of the template are too many, too.
    edge = saved(tmp_path, forget=FORGET, retain=[*retain(), pair(30, "x " * 31 + "Odo")])
    known = graph.build({"source": "qa", "version": 1, "seed": 0}, edge)
    check_texts(known, str(source), None, {})
    with pytest.raises(UserError, match=r"9[7-9] tokens|10\d tokens"):
        check_texts(known, str(source), None, {"template": "chat"})
