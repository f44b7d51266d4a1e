"""Gold models that a user retrained: held to, or refused with the reason."""

import shutil
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from ksmith import study
from ksmith.lm.load import save
from ksmith.lm.text import build_tokenizer
from ksmith.records import Outcome, Spec
from ksmith.worker.attempt import perform
from ksmith.worker.tasks import HANDLERS
from tests.conftest import ROOT
from tests.lm.models import OBJECTS, SUBJECTS, tiny, tokenizer

SETS = (
    *(
        "graph.facts=120",
        "task.level=leaf",
        "task.scale=4",
        "task.draws=1",
        "task.kind=unlearn",
    ),
    *('task.method=["ft_l"]', "method.ft_l.layer=0", 'probe.kinds=["efficacy"]'),
    *("probe.memory=true", "probe.memory_facts=4", "probe.drift=false"),
)


def read(folder: Path, *golds: str) -> study.Study:
    paths = ", ".join(f'"{folder / name}"' for name in golds)
    sets = [*SETS, f"model.load={folder / 'base'}", f"model.gold=[{paths}]"]
    return study.read(ROOT / "studies" / "plasticity.toml", sets)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with models: the one under study, two retrained ones, and wrong ones."""
    folder = tmp_path_factory.mktemp("models")
    for name, model in {
        "base": tiny("llama"),
        "one": tiny("llama", scale=0.29),
        "two": tiny("llama", scale=0.31),
        "other_kind": tiny("mistral"),
    }.items():
        save(cast(Any, model), tokenizer(), folder / name)
    save(cast(Any, tiny("llama", scale=0.2)), tokenizer(), folder / "other_words")
    words = build_tokenizer([*OBJECTS, *SUBJECTS])
    words.save_pretrained(folder / "other_words")
    shutil.copytree(folder / "base", folder / "same_weights")
    text = (folder / "base" / "config.json").read_text()
    (folder / "same_weights" / "config.json").write_text(text + "\n")
    return folder


@pytest.fixture(scope="module")
def ran(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lab in which a trial was held to both retrained models."""
    home = tmp_path_factory.mktemp("given")
    (point,) = read(models, "one", "two").points
    warm: dict[str, Any] = {}
    for role in (nodes := study.nodes(point)):
        outcome = made(home, nodes, role, warm)
        assert outcome.error is None, outcome.traceback
    return home


def test_a_trial_is_held_to_them(ran: Path) -> None:
    (file,) = ran.glob("outcomes/*/1-1/memory_gold.parquet")
    far = pl.read_parquet(file)
    assert set(far["gold"]) == {0, 1} and far["kl"].null_count() == 0
    text = (file.parent / "metrics.json").read_text()
    for name in ("ks", "kl_gold", "kl_margin", "gold_agreement"):
        assert f'"{name}"' in text
    # Nothing of them is copied.
    assert not list(ran.glob("assets/gold-*/1-1/**/*.safetensors"))


def test_one_of_them_gives_distances_and_no_margin(ran: Path, models: Path) -> None:
    (point,) = read(models, "one").points
    nodes = study.nodes(point)
    # What the model says before, the update and the first gold model are there already.
    outcome = made(ran, nodes, "trial")
    assert outcome.error is None, outcome.traceback
    (file,) = ran.glob(f"outcomes/{nodes['trial'].key}/1-1/metrics.json")
    text = file.read_text()
    assert '"ks"' in text and '"kl"' in text and '"gold_divergence"' in text
    for name in ("ks_margin", "ks_gold", "kl_margin", "kl_gold", "gold_distance", "gold_cka"):
        assert f'"{name}"' not in text


def made(
    home: Path, nodes: dict[str, Any], role: str, warm: dict[str, Any] | None = None
) -> Outcome:
    """Return the outcome of one node, whose needs are in the lab."""
    node = nodes[role]
    room = "outcomes" if node.kind == "trial" else "assets"
    folder = home / room / node.key / "1-1"
    spec = Spec(
        key=node.key,
        kind=node.kind,
        recipe=node.recipe,
        needs={need: str(home / "assets" / key / "1-1") for need, key in node.needs.items()},
        need_keys=node.needs,
        files=node.files,
        folder=str(folder),
        attempt=1,
        fence=1,
    )
    return perform(spec, lambda: HANDLERS, warm={} if warm is None else warm).outcome


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("other_kind", "other_kind is a mistral, the model under study a llama"),
        ("other_words", "the tokenizer in .*other_words is another than that"),
        ("same_weights", "same_weights has the very weights of the model under study"),
    ],
)
def test_what_can_not_be_compared_is_refused(
    ran: Path, models: Path, name: str, why: str
) -> None:
    (point,) = read(models, name).points
    outcome = made(ran, study.nodes(point), "gold.0.0")
    assert outcome.reason == "error"
    with pytest.raises(RuntimeError, match=why):
        raise RuntimeError(outcome.error)


def test_one_that_changed_since_is_refused(ran: Path, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "two", tmp_path / "three")
    shutil.copytree(models / "base", tmp_path / "base")
    config = tmp_path / "three" / "config.json"
    config.write_text(config.read_text() + " ")
    (point,) = read(tmp_path, "three").points
    config.write_text(config.read_text() + " ")
    outcome = made(ran, study.nodes(point), "gold.0.0")
    assert "changed since the study was made" in str(outcome.error)


def test_the_model_under_study_is_no_gold_model_nor_is_one_twice(models: Path) -> None:
    with pytest.raises(Exception, match="is the model under study, file for file"):
        read(models, "base")
    with pytest.raises(Exception, match="is named twice"):
        read(models, "one", "one")
