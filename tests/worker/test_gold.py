"""Gold models from a study file to a trial's metrics, on models too small to learn anything."""

import json
import runpy
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from transformers import AutoTokenizer

import ksmith
from ksmith import study
from ksmith.measures import judged, memory, memory_gold
from ksmith.measures.gold import SCHEMA
from ksmith.measures.gold_metrics import paired
from ksmith.records import Node, Outcome, Spec
from ksmith.store import Store
from ksmith.worker.attempt import perform
from ksmith.worker.tasks import HANDLERS
from tests.conftest import ROOT

pytestmark = pytest.mark.first

SMALL = (
    *("graph.facts=120", "model.mechanism=plain", "model.width=32", "model.layers=2"),
    *("model.steps=2", "model.rows=2", "task.level=any", "task.scale=6", "task.draws=2"),
    *('task.method=["ft_l", "graddiff"]', "method.ft_l.layer=0", "method.graddiff.steps=1"),
    *("method.graddiff.retain=4", "task.gold=2"),
    'probe.kinds=["efficacy", "multi_hop", "same_subject", "utility"]',
    *("probe.memory=true", "probe.memory_facts=4"),
)


def performed(home: Path, node: Node, done: dict[str, Path], warm: dict[str, Any]) -> Outcome:
    """Return the outcome of one node, whose needs are in `done`."""
    folder = home / ("outcomes" if node.kind == "trial" else "assets") / node.key / "1-1"
    spec = Spec(
        key=node.key,
        kind=node.kind,
        recipe=node.recipe,
        needs={role: str(done[key]) for role, key in node.needs.items()},
        need_keys=node.needs,
        files=node.files,
        folder=str(folder),
        attempt=1,
        fence=1,
    )
    outcome = perform(spec, lambda: HANDLERS, warm=warm).outcome
    done[node.key] = folder
    assert outcome.error is None, outcome.traceback
    return outcome


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Node]]:
    """Return a lab with a study of two methods that ran, and the first's nodes by role."""
    home = tmp_path_factory.mktemp("gold")
    read = study.read(ROOT / "studies" / "gold.toml", SMALL)
    done: dict[str, Path] = {}
    warm: dict[str, Any] = {}
    points = [study.nodes(point) for point in read.points]
    for nodes in points:
        for node in nodes.values():
            if node.key not in done:
                performed(home, node, done, warm)
    with Store.open(home) as store:
        store.add(read)
        assert not store.reindex().damaged
    return home, points[0]


def folder_of(home: Path, node: Node) -> Path:
    (folder,) = home.glob(f"*/{node.key}/1-1")
    return folder


def test_a_trial_says_how_far_it_is_from_its_gold_models(
    ran: tuple[Path, dict[str, Node]],
) -> None:
    home, nodes = ran
    folder = folder_of(home, nodes["trial"])
    rows = json.loads((folder / "metrics.json").read_text())
    told = {
        (row["step"], row["probe"], row["measure"], row["slice"], row["hop"]) for row in rows
    }
    for step in (0, 1):
        assert (step, "efficacy", "gold_distance", "", None) in told
        assert (step, "efficacy", "gold_distance_vocabulary", "", None) in told
        assert (step, "all", "gold_distance", "balanced", None) in told
        assert (step, "all", "gold_cka", "layer1", None) in told
    assert any(row[1:3] == ("multi_hop", "gold_distance") and row[4] for row in told)
    pairs = pl.read_parquet(folder / "gold.parquet")
    assert set(pairs["probe"]) == {"efficacy", "multi_hop", "same_subject"}
    # Two gold models: two pairs a step, one among themselves, for every question of both draws.
    assert dict(pairs.schema) == SCHEMA
    assert pairs.height == 5 * pairs["question"].n_unique()
    assert pairs["divergence"].is_between(0, 1).all() and set(pairs["draw"]) == {0, 1}
    layers = pl.read_parquet(folder / "gold_layers.parquet")
    assert layers.filter(part="")["layer"].unique().sort().to_list() == [0, 1]


def test_a_trial_says_what_is_left_of_its_sets_and_of_those_of_gold_models(
    ran: tuple[Path, dict[str, Node]],
) -> None:
    home, nodes = ran
    folder = folder_of(home, nodes["trial"])
    rows = pl.read_parquet(folder / "memory.parquet")
    assert dict(rows.schema) == memory.SCHEMA | judged.SCHEMA
    models = rows.group_by("step", "gold").agg(pl.len(), pl.col("draw").n_unique())
    assert (
        models.height == 4 and models["len"].n_unique() == 1
    )  # before, after, two gold models
    assert set(models["draw"]) == {2}
    requests = json.loads((folder_of(home, nodes["update"]) / "update.json").read_text())
    forgotten = {(r["subject"], r["old"]) for draw in requests["requests"] for r in draw}
    mine = rows.filter(set="forget")
    assert set(mine.select("subject", "answer").iter_rows()) == forgotten
    assert not any(row["answer"] in row["wrong"] for row in rows.iter_rows(named=True))
    told = json.loads((folder / "metrics.json").read_text())
    found = {(m["step"], m["measure"], m["slice"]): m for m in told if m["probe"] == "memory"}
    for step in (0, 1):
        for name in ("probability", "truth_ratio", "extraction_strength", "kfr_exact"):
            assert found[step, name, "forget"]["n"] == len(forgotten)
        assert 0 <= found[step, "ks", "forget"]["value"] <= 1
        assert (
            found[step, "model_utility", "retain"]["n"] == found[step, "facts", "retain"]["n"]
        )
    assert (1, "probability", "gold.retain") in found and (1, "ks_gold", "forget") in found
    for name in ("kl", "kl_gold", "kl_margin"):
        for part in ("forget", "retain"):
            assert found[1, name, part]["value"] >= 0
    far = pl.read_parquet(folder / "memory_gold.parquet")
    assert dict(far.schema) == memory_gold.SCHEMA
    # Of each statement: two models and each gold model, from each gold model but its own.
    stays = far.filter(pl.col("set") != "trained")
    assert stays.height == 3 * 2 * rows.filter(step=1).height
    assert "trained" not in rows["set"]  # an editor trains on nothing to keep it
    assert far["kl"].null_count() == 0
    # Nobody gave a holdout set: what needs one is absent, not 1/2.
    assert not [key for key in found if key[1].startswith(("auc", "privleak"))]


def test_every_gold_model_is_another_and_has_the_words_of_the_base(
    ran: tuple[Path, dict[str, Node]],
) -> None:
    home, nodes = ran
    weights: set[str] = set()
    theirs = AutoTokenizer.from_pretrained(folder_of(home, nodes["model"]) / "model")
    for role, node in nodes.items():
        if node.kind in ("gold", "model"):
            outcome = Outcome.read(folder_of(home, node))
            assert outcome
            weights.add(outcome.files["model/model.safetensors"])
            own = AutoTokenizer.from_pretrained(folder_of(home, node) / "model")
            assert own.get_vocab() == theirs.get_vocab(), role
    assert len(weights) == 5


def test_a_gold_model_says_what_its_text_has_otherwise(
    ran: tuple[Path, dict[str, Node]],
) -> None:
    home, nodes = ran
    update = json.loads((folder_of(home, nodes["update"]) / "update.json").read_text())
    for draw, requests in enumerate(update["requests"]):
        changes = [
            json.loads(
                (folder_of(home, nodes[f"gold.{draw}.{i}"]) / "changes.json").read_text()
            )
            for i in (0, 1)
        ]
        assert changes[0] == changes[1]  # another seed, the same text
        new = {(f["subject"], f["relation"], f["object"]) for f in changes[0]["new"]}
        gone = {(f["subject"], f["relation"], f["object"]) for f in changes[0]["gone"]}
        asked = {(r["subject"], r["relation"]) for r in requests}
        assert {(r["subject"], r["relation"], r["new"]) for r in requests} <= new
        assert {(r["subject"], r["relation"], r["old"]) for r in requests} <= gone
        assert asked <= {fact[:2] for fact in new}


def test_a_standard_of_other_requests_is_refused(
    ran: tuple[Path, dict[str, Node]], tmp_path: Path
) -> None:
    home, nodes = ran
    done = {node.key: folder_of(home, node) for node in nodes.values()}
    wrong = Node(
        kind="standard",
        recipe=nodes["standard.1.0"].recipe,
        needs=nodes["standard.0.0"].needs,
    )
    with pytest.raises(AssertionError, match="trained for other requests"):
        performed(home, wrong, done, {})


def test_frames_and_the_study_script_read_it(
    ran: tuple[Path, dict[str, Node]], capsys: pytest.CaptureFixture[str]
) -> None:
    home, _ = ran
    pairs = ksmith.gold("gold", home=home).collect()
    assert pairs["method"].unique().sort().to_list() == ["ft_l", "graddiff"]
    # Both methods are held to the same gold models.
    keys = ["question", "gold", "other"]
    among = [
        pairs.filter(pl.col("method") == name, pl.col("step").is_null()).sort(keys)
        for name in ("ft_l", "graddiff")
    ]
    assert among[0]["divergence"].to_list() == among[1]["divergence"].to_list()
    script = runpy.run_path(str(ROOT / "studies" / "gold.py"))
    rows = script["numbers"](str(home))
    order = script["ranking"](rows)["method"].to_list()
    assert set(order) == {"ft_l", "graddiff", "unedited"}
    told = {
        row["method"]: row["value"]
        for row in rows.filter(
            probe="all", measure="gold_distance", slice="balanced"
        ).to_dicts()
    }
    assert order == sorted(told, key=lambda name: told[name])
    near, far = sorted(("ft_l", "graddiff"), key=lambda name: told[name])
    (row,) = script["compared"](rows, str(home)).to_dicts()
    assert (row["method"], row["farther than"]) == (far, near)
    told_apart = paired(pairs.filter(method=far), pairs.filter(method=near))
    assert told_apart and float(row["by"].split()[0]) == pytest.approx(
        told_apart.value, abs=0.01
    )
    # On the questions of both alone: without what graddiff was trained on to keep.
    assert told_apart.value == pytest.approx(told[far] - told[near], abs=0.03)
    script["main"]([str(home)])
    assert "layer1" in capsys.readouterr().out
