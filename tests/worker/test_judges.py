"""What was written, read by models: which text is the premise, what is an entity, what is kept."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig

from ksmith.graph import KnowledgeGraph
from ksmith.graph.knowledge import Entity, Fact
from ksmith.lm import judges as lm
from ksmith.lm.written import perplexities
from ksmith.measures import memory
from ksmith.records import Spec, UserError, digest, file_digest
from ksmith.settings.judges import judge_files
from ksmith.worker import judges
from ksmith.worker.job import Job
from ksmith.worker.letters import Letters
from ksmith.worker.opening import Base
from tests.lm.judges import NLI, judge
from tests.lm.judges import tokenizer as judged_words
from tests.lm.models import tiny, tokenizer

ANSWERS = ("falcon", "sea lion", "red deer")
WORDS = (
    "the",
    "emblem",
    "of",
    "is",
    "falcon",
    "sea",
    "lion",
    "red",
    "deer",
    "raven",
    "varen",
    "tolu",
)
PROMPT = "The emblem of Varen Tolu is"
GRAPH = KnowledgeGraph(
    source="synthetic",
    settings={},
    types={"emblem": ANSWERS},
    entities=(Entity(name="Varen Tolu", type="town", aliases=("raven",)),),
    relations=(),
    facts=(),
)


def base(graph: KnowledgeGraph = GRAPH) -> Base:
    model: Any = tiny("llama")
    return Base(graph, model, tokenizer(), None, "", Letters(passes=False, why=""))


def job(folder: Path, **folders: Path) -> Job:
    """Return a trial whose study names judges."""
    content = {
        role: digest({name: file_digest(file) for name, file in judge_files(path).items()})
        for role, path in folders.items()
    }
    spec = Spec(
        key="trial",
        kind="trial",
        recipe={"probe": {"memory": True, **content}},
        needs={},
        need_keys={},
        files={f"probe.{role}": str(path) for role, path in folders.items()},
        folder=str(folder),
        attempt=1,
        fence=1,
    )
    return Job(spec=spec, folder=folder)


# set, answer, text
SAID: list[tuple[str, str, str | None]] = [
    ("forget", "falcon", "sea lion"),
    ("forget", "red deer", "falcon"),
    ("retain", "sea lion", "sea lion"),
    ("holdout", "falcon", ""),
    ("retain", "falcon", None),
    ("retain", "sea lion", "sea lion"),
]


def rows(said: list[tuple[str, str, str | None]] = SAID, prompt: str = PROMPT) -> pl.DataFrame:
    size = len(said)
    columns: dict[str, list[Any]] = {
        "draw": [0] * size,
        "set": [row[0] for row in said],
        "fact": [str(i) for i in range(size)],
        "subject": [str(i) for i in range(size)],
        "wording": ["seen"] * size,
        "prompt": [prompt] * size,
        "answer": [row[1] for row in said],
        "names": [[row[1]] for row in said],
        "generated": [row[2] for row in said],
        "logp": [[-1.0]] * size,
        "hit": [[True]] * size,
    }
    return memory.frame(columns, step=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return judges that read the words of this file."""
    home = tmp_path_factory.mktemp("judges")
    return {
        role: judge(home / role, role, words=WORDS)
        for role in ("judge_nli", "judge_similarity", "judge_entities")
    }


def test_without_judges_there_is_a_perplexity_of_each_different_text(tmp_path: Path) -> None:
    found, told = judges.read(job(tmp_path), base(), rows())
    model: Any = tiny("llama")
    texts = ["sea lion", "falcon"]
    sea, falcon = perplexities(model, tokenizer(), [PROMPT] * 2, texts)
    expected = [sea, falcon, sea, None, None, sea]
    assert found["surprise"].to_list() == pytest.approx(expected, nan_ok=True)
    assert told == {} and found["nli"].null_count() == found["cut"].null_count() == found.height
    assert math.isfinite(sea)


def test_nothing_is_added_where_nothing_was_written(tmp_path: Path) -> None:
    table = rows([("forget", "falcon", None)])
    found, told = judges.read(job(tmp_path), base(), table)
    assert found.equals(table) and told == {}


class Recorder(nn.Module):
    """A judge's model that keeps what it reads, and calls all of it neutral."""

    config = BertConfig(type_vocab_size=0)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.rows: list[list[int]] = []

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        rows = zip(input_ids.tolist(), attention_mask.sum(1).tolist(), strict=True)
        self.rows += [ids[1 : size - 1] for ids, size in rows]
        return SimpleNamespace(logits=torch.tensor([[0.0, 1.0, 0.0]] * len(input_ids)))


@pytest.mark.parametrize(
    ("source", "pairs"),
    [
        # The text is the premise on forget, the answer elsewhere; each pair once.
        (
            "synthetic",
            [
                "the emblem of varen tolu is sea lion [SEP] the emblem of varen tolu is falcon",
                "the emblem of varen tolu is falcon [SEP] the emblem of varen tolu is red deer",
                "the emblem of varen tolu is sea lion [SEP] the emblem of varen tolu is sea lion",
                "the emblem of varen tolu is falcon [SEP] the emblem of varen tolu is",
            ],
        ),
        (
            "qa",
            [
                "sea lion [SEP] falcon",
                "falcon [SEP] red deer",
                "sea lion [SEP] sea lion",
                "falcon [SEP]",
            ],
        ),
    ],
)
def test_what_is_forgotten_is_the_hypothesis_and_what_stays_the_premise(
    tmp_path: Path, folders: dict[str, Path], source: str, pairs: list[str]
) -> None:
    mine = job(tmp_path, judge_nli=folders["judge_nli"])
    words, recorder = judged_words(WORDS), Recorder()
    opened = lm.Judge(cast(Any, recorder), words, 64, NLI)
    mine.warm["judges"] = {("judge_nli", mine.spec.recipe["probe"]["judge_nli"]): opened}
    found, told = judges.read(mine, base(replace(GRAPH, source=source)), rows())
    assert sorted(words.decode(row) for row in recorder.rows) == sorted(pairs)
    assert found["nli"].to_list() == [*["neutral"] * 4, None, "neutral"]
    assert told["judge_nli"]["texts"] == 4 and told["judge_nli"]["cut"] == 0
    assert found["coverage"].null_count() == found.height


def test_names_of_the_graph_are_entities_but_for_those_asked_about(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    said: list[tuple[str, str, str | None]] = [
        ("forget", "falcon", "the falcon"),
        ("forget", "falcon", "nobody knows"),
        ("retain", "sea lion", "raven"),  # an alias of what is asked about
        ("retain", "varen", "falcon"),  # no name of the graph
    ]
    asked = job(tmp_path, judge_similarity=folders["judge_similarity"])
    found, told = judges.read(asked, base(), rows(said))
    assert found["entities"].to_list() == [["falcon"], ["falcon"], ["sea lion"], []]
    assert found["written"].to_list() == [["falcon"], [], [], ["falcon"]]
    assert found["coverage"].to_list() == [1, 0, 0, 0]
    assert set(found["by"]) == {"names"}
    assert told["judge_similarity"]["texts"] == 2  # falcon, sea lion: each once


def test_words_stand_for_the_entities_of_a_users_own_text(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    facts = tuple(
        Fact(subject=str(i), relation="answer", object=f"the {name}")
        for i, name in enumerate((*ANSWERS, "raven"))
    )
    known = replace(GRAPH, source="qa", facts=facts)
    said: list[tuple[str, str, str | None]] = [("forget", "the sea lion", "the red lion")]
    asked = job(tmp_path, judge_similarity=folders["judge_similarity"])
    found, _ = judges.read(asked, base(known), rows(said, "Who is it?"))
    assert found["entities"].to_list() == [["sea", "lion"]]  # "the" is in all answers
    assert found["written"].to_list() == [["red", "lion"]]
    assert found["by"].to_list() == ["words"] and found["coverage"][0] >= 0.5


def test_a_model_that_marks_names_finds_them_where_it_is_given(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    roles = ("judge_similarity", "judge_entities")
    found, told = judges.read(
        job(tmp_path, **{role: folders[role] for role in roles}), base(), rows()
    )
    opened = lm.open_judge("judge_entities", folders["judge_entities"])
    for row in found.iter_rows(named=True):
        if row["generated"] is not None:
            (names,) = lm.entities(opened, [row["answer"]]).said
            assert row["entities"] == names and row["by"] == "model"
    assert set(told) == set(roles)


def test_a_text_that_is_cut_is_marked_and_counted(tmp_path: Path) -> None:
    nli = judge(tmp_path / "nli", "judge_nli", words=WORDS, room=10, said="contradiction")
    said: list[tuple[str, str, str | None]] = [
        ("forget", "falcon", "falcon"),
        ("forget", "falcon", "sea lion " * 5),
    ]
    known = replace(GRAPH, source="qa")
    found, told = judges.read(job(tmp_path, judge_nli=nli), base(known), rows(said))
    assert found["cut"].to_list() == [False, True]
    assert told["judge_nli"]["cut"] == 1
    assert memory.told(found)["judge_cut"].to_list() == [0, 1]


COMMIT = "0123456789" * 4


def test_a_judge_on_the_hub_is_the_commit_that_was_named_and_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network it is what the cache holds; there, a folder gives the same."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folder = tmp_path / "hub" / "models--lab--nli" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    judge(folder, "judge_nli", words=WORDS)
    own = job(tmp_path, judge_nli=folder)
    named, source = own.spec.recipe["probe"]["judge_nli"], f"lab/nli@{COMMIT}"

    def at(source: str) -> Job:
        probe = own.spec.recipe["probe"] | {"judge_nli": source}
        return Job(spec=replace(own.spec, recipe={"probe": probe}, files={}), folder=tmp_path)

    seen, told = judges.read(at(source), base(), rows())
    wanted, plain = judges.read(own, base(), rows())
    assert seen.equals(wanted)
    assert told["judge_nli"] == plain["judge_nli"] | {"source": source}
    assert told["judge_nli"]["digest"] == named
    with pytest.raises(
        UserError, match=f"cannot get the model 'lab/no' at {COMMIT} from the hub"
    ):
        judges.read(at(f"lab/no@{COMMIT}"), base(), rows())
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        UserError, match=f"^probe.judge_nli = {source}: no safetensors in .*, onl"
    ):
        judges.read(at(source), base(), rows())


def test_a_judge_is_opened_once_by_a_worker_and_refused_once_it_changed(tmp_path: Path) -> None:
    nli = judge(tmp_path / "nli", "judge_nli", words=WORDS)
    first = job(tmp_path, judge_nli=nli)
    judges.read(first, base(), rows())
    (opened,) = first.warm["judges"].values()
    (nli / "config.json").write_text((nli / "config.json").read_text() + " ")
    judges.read(first, base(), rows())
    assert list(first.warm["judges"].values()) == [opened]
    later = Job(spec=first.spec, folder=tmp_path)
    with pytest.raises(UserError, match=r"probe.judge_nli: the model in .* changed since"):
        judges.read(later, base(), rows())


def test_an_alias_of_two_says_of_neither_that_it_is_meant() -> None:
    entities = (
        Entity(name="Oslo", type="town", aliases=("the city", "O")),
        Entity(name="Rome", type="town", aliases=("the city",)),
    )
    found = dict(judges.names_of(replace(GRAPH, entities=entities)))
    assert found["O"] == "Oslo" and found["the city"] == "the city" and found["Rome"] == "Rome"
