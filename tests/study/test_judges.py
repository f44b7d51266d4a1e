"""Models that read: known by content, and refused before anything is stored, with their place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ksmith.cli import ksmith
from ksmith.study import nodes, read
from tests.study.files import ROME, keys, mistakes, only, readers, written

NPO = ROME.replace("rome", "npo") + 'kind = "unlearn"\n[probe]\nmemory = true\n'
LINE = 7  # of the first setting after NPO


def study(folder: Path, *roles: str, text: str = NPO) -> Path:
    """Return a study that names the folders of these judges, which are there."""
    lines = [f'{role} = "{readers(folder / role, role).name}"\n' for role in roles]
    return written(folder, text + "".join(lines))


def test_a_judge_is_known_by_content_and_read_where_it_lies(tmp_path: Path) -> None:
    path = study(tmp_path, "judge_nli", "judge_similarity", "judge_entities")
    point = only(path)
    found = nodes(point)
    for role in ("judge_nli", "judge_similarity", "judge_entities"):
        assert found["trial"].files[f"probe.{role}"] == str(tmp_path / role)
        assert len(found["trial"].recipe["probe"][role]) == 64
        assert role not in found["before"].recipe["probe"]
    before = keys(point)
    (tmp_path / "judge_nli" / "config.json").write_text(
        (tmp_path / "judge_nli" / "config.json").read_text() + " "
    )
    after = keys(only(path))
    assert {role for role in before if before[role] != after[role]} == {"trial"}


def test_how_a_vector_is_made_is_part_of_what_it_is(tmp_path: Path) -> None:
    path = study(tmp_path, "judge_similarity")
    before = keys(only(path))
    (tmp_path / "judge_similarity" / "sentence_bert_config.json").write_text("{}")
    assert keys(only(path))["trial"] != before["trial"]


def test_where_nothing_is_written_no_judge_makes_another_trial(tmp_path: Path) -> None:
    for text in (NPO.replace("memory = true", "memory = false"), NPO + "generate = false\n"):
        plain = keys(only(written(tmp_path, text)))
        path = study(tmp_path, "judge_nli", text=text)
        assert keys(only(path)) == plain
        (note,) = [note for note in read(path).notes if "judge_nli" in note]
        assert note.endswith(
            "probe.judge_nli is left out: it reads what probe.memory and probe.generate have a "
            "model write"
        )


def test_entities_need_something_that_compares_them(tmp_path: Path) -> None:
    assert mistakes(study(tmp_path, "judge_entities")) == [
        f'x.toml:{LINE}: probe.judge_entities = "judge_entities": finds what judge_similarity '
        "compares; name that, too, or leave it out"
    ]


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def saying(name: str, value: Any) -> Callable[[Path], None]:
    """Return what writes a file of sentence-transformers."""

    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))

    return write


def configured(**more: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | more))

    return write


POOLING = "1_Pooling/config.json"
SENTENCE = "sentence_transformers.models."
NO_LABEL = r"its labels \(id2label in config.json\) are "
WRONG: list[tuple[str, Callable[[Path], None], str]] = [
    ("judge_nli", without("config.json"), "no model in .*: config.json is missing"),
    ("judge_nli", saying("config.json", "{"), "config.json is no JSON: "),
    ("judge_nli", saying("config.json", "[]"), "config.json is no JSON object"),
    ("judge_nli", saying("config.json", "[" * 9999), "recursion|nest|depth|no JSON"),
    ("judge_nli", pickled, "only pytorch_model.bin, which can run code when opened; convert"),
    ("judge_nli", without("model.safetensors"), "no safetensors in .*, no weights"),
    ("judge_nli", without("tokenizer.json"), "no tokenizer in "),
    ("judge_nli", configured(auto_map={"AutoModel": "x.Y"}), "brings its own code .*never run"),
    (
        "judge_nli",
        configured(architectures=["LlamaForCausalLM"]),
        "is LlamaForCausalLM, and must",
    ),
    ("judge_nli", configured(architectures=None), "is of no architecture, and must be"),
    ("judge_nli", configured(architectures="x"), "is of no architecture, and must be"),
    ("judge_nli", configured(id2label={"0": "no", "1": "yes"}), NO_LABEL + "no, yes; one must"),
    ("judge_nli", configured(id2label={}), NO_LABEL + "none; one must be contradiction"),
    ("judge_nli", configured(id2label=[1]), NO_LABEL + "none"),
    ("judge_nli", configured(id2label={"0": "contradiction"}), NO_LABEL + "contradiction; one"),
    ("judge_nli", configured(id2label={"7": "contradiction", "8": "b"}), NO_LABEL + "none"),
    ("judge_similarity", configured(architectures=["GPT2LMHeadModel"]), "is GPT2LMHeadModel, "),
    ("judge_similarity", configured(architectures=["T5Model"]), "an encoder of sentences"),
    (
        "judge_similarity",
        saying(POOLING, {"pooling_mode_cls_token": True}),
        "pools .*cls_token;",
    ),
    ("judge_similarity", saying(POOLING, {"pooling_mode": "max"}), "pools its states by max;"),
    ("judge_similarity", saying(POOLING, {}), "pools its states by nothing;"),
    (
        "judge_similarity",
        saying("modules.json", [{"type": SENTENCE + "Dense"}]),
        "has Dense; kn",
    ),
    ("judge_similarity", saying("modules.json", {"a": 1}), "modules.json is no JSON list"),
    ("judge_similarity", saying("modules.json", [1]), "modules.json"),
    (
        "judge_entities",
        configured(id2label={"0": "a", "1": "b"}),
        NO_LABEL + "a, b; there must",
    ),
]


@pytest.mark.parametrize(("role", "spoil", "why"), WRONG)
def test_what_can_not_read_is_refused(
    tmp_path: Path, role: str, spoil: Callable[[Path], None], why: str
) -> None:
    needed = ["judge_similarity"] if role == "judge_entities" else []
    path = study(tmp_path, *needed, role)
    spoil(tmp_path / role)
    (line,) = mistakes(path)
    assert line.startswith(f'x.toml:{LINE + len(needed)}: probe.{role} = "{role}": ')
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(line)


def test_the_layouts_of_sentence_transformers_that_are_means_are_taken(tmp_path: Path) -> None:
    path = study(tmp_path, "judge_similarity")
    kinds = ("models.Transformer", "models.Pooling", "models.Normalize")
    saying("modules.json", [{"type": f"sentence_transformers.{kind}"} for kind in kinds])(
        tmp_path / "judge_similarity"
    )
    for how in (
        {"pooling_mode_mean_tokens": True, "pooling_mode_x": 0},
        {"pooling_mode": "mean"},
    ):
        saying(POOLING, how)(tmp_path / "judge_similarity")
        only(path)


COMMIT = "0123456789" * 4


def on_hub(folder: Path, monkeypatch: pytest.MonkeyPatch, role: str = "judge_nli") -> Path:
    """Return the folder of a judge "lab/reader" in the hub's cache, laid out as the hub does."""
    there = folder / "hub" / "models--lab--reader"
    (there / "refs").mkdir(parents=True)
    (there / "refs" / "main").write_text(COMMIT)
    (there / "snapshots").mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    return readers(there / "snapshots" / COMMIT, role)


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_a_judge_in_the_hubs_cache_is_known_by_content_as_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    own = keys(only(study(tmp_path, "judge_nli")))
    there = on_hub(tmp_path, monkeypatch)
    path = written(tmp_path, NPO + f'judge_nli = "lab/reader{revision}"\n')
    point = only(path)
    assert keys(point) == own
    assert nodes(point)["trial"].files["probe.judge_nli"] == str(there)
    pinned = COMMIT in revision
    said = [note for note in read(path).notes if "judge_nli" in note]
    assert len(said) == (not pinned)
    assert all(f"in the cache it is {COMMIT}: name that to pin it" in note for note in said)


def test_a_judge_that_is_not_in_the_cache_is_known_by_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is one of which a part of the weights is there."""
    there = on_hub(tmp_path, monkeypatch)
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    saying("model.safetensors.index.json", index)(there)
    for name in ("lab/other", "lab/reader"):
        point = only(written(tmp_path, NPO + f'judge_nli = "{name}@{COMMIT}"\n'))
        trial = nodes(point)["trial"]
        assert trial.recipe["probe"]["judge_nli"] == f"{name}@{COMMIT}"
        assert "probe.judge_nli" not in trial.files
        for revision in ("", "@main", "@v1"):
            path = written(tmp_path, NPO + f'judge_nli = "{name}{revision}"\n')
            (line,) = mistakes(path)
            said = "no such folder, and not in the hub's cache: name its commit"
            assert line.startswith(
                f'x.toml:{LINE}: probe.judge_nli = "{name}{revision}": {said}'
            )
    for name in ("../no/such", "a/b/c", "lab/reader@", "lab/reader@../x"):
        (line,) = mistakes(written(tmp_path, NPO + f'judge_nli = "{name}"\n'))
        assert line.endswith(
            f'"{name}": no such folder, and no name on the hub, as NAME or NAME@REVISION'
        )


def test_what_is_wrong_with_a_judge_in_the_cache_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = on_hub(tmp_path, monkeypatch)
    path = written(tmp_path, NPO + f'judge_nli = "lab/reader@{COMMIT}"\n')
    configured(auto_map={"AutoModel": "x.Y"})(there)
    assert "brings its own code" in mistakes(path)[0]
    pickled(there)
    assert "only pytorch_model.bin, which can run code when opened" in mistakes(path)[0]


def test_create_stops_with_code_2_before_there_is_a_lab(tmp_path: Path) -> None:
    path = written(tmp_path, NPO + 'judge_nli = "nowhere"\n')
    words = ["study", "create", str(path), "--home", str(tmp_path / "lab")]
    done = CliRunner().invoke(ksmith, words)
    assert done.exit_code == 2
    assert 'probe.judge_nli = "nowhere": no such folder, and not in the hub' in done.output
    assert not (tmp_path / "lab" / "ksmith.db").exists()
