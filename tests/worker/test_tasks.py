"""The science behind a spec, in this process: models that exist are loaded, not trained."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
import torch

from ksmith import graph, study
from ksmith.lm import delta as deltas
from ksmith.lm.assets import Result
from ksmith.lm.load import save
from ksmith.records import Outcome, Question, Reason, Request, Spec, UserError, derived_seed
from ksmith.worker.attempt import perform
from ksmith.worker.checkout import checkout
from ksmith.worker.inputs import told
from ksmith.worker.job import Job
from ksmith.worker.tasks import HANDLERS
from ksmith.worker.unfinished import left
from tests.conftest import CUT, ROOT
from tests.lm.models import tiny, tokenizer

SMALL = (
    "graph.facts=120",
    "graph.seed=1",
    'task.method=["ft_l"]',
    'task.level=["any"]',
    "task.scale=[1]",
    "task.draws=2",
    'probe.kinds=["efficacy", "same_subject"]',
)


def done(home: Path, *sets: str) -> dict[str, Outcome]:
    """Return role -> outcome of the one trial of a cut study, and of what it needs."""
    return performed(home, study.read(ROOT / "studies" / "plasticity.toml", [*SMALL, *sets]))


def specs_of(home: Path, read: study.Study) -> Iterator[Spec]:
    """Yield the specs of the one trial of a study and of what it needs, needs first."""
    (point,) = read.points
    folders: dict[str, str] = {}
    for role, node in study.nodes(point).items():
        room = "outcomes" if role == "trial" else "assets"
        folders[role] = str(home / room / node.key / "1-1")
        yield Spec(
            key=node.key,
            kind=node.kind,
            recipe=node.recipe,
            needs={need: folders[need] for need in node.needs},
            need_keys=node.needs,
            files=node.files,
            folder=folders[role],
            attempt=1,
            fence=1,
        )


_MADE: dict[
    tuple[Any, ...], Path
] = {}  # graphs and opened models -> where they were made first


def performed(home: Path, read: study.Study) -> dict[str, Outcome]:
    """Return role -> outcome of the one trial of a study, and of what it needs.

    A graph, and a model of one, are made once and copied: they are the same bits.
    """
    (point,) = read.points
    folders: dict[str, Path] = {}
    found: dict[str, Outcome] = {}
    warm: dict[str, object] = {}
    nodes = study.nodes(point).items()
    for (role, node), spec in zip(nodes, specs_of(home, read), strict=True):
        folders[role] = Path(spec.folder)
        same = (node.key, *sorted(node.files.items()))
        if same in _MADE:
            shutil.copytree(_MADE[same], folders[role])
        else:
            perform(spec, lambda: HANDLERS, warm=warm)
        outcome = Outcome.read(folders[role])
        assert outcome
        found[role] = outcome
        if node.kind in ("graph", "model") and outcome.reason == "ok":
            _MADE[same] = folders[role]
        if outcome.reason != "ok" and role != "update":  # of which a trial tells what is left
            break
    return found


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a random model, which knows nothing of any graph."""
    folder = tmp_path_factory.mktemp("stranger")
    save(cast(Any, tiny("llama")), tokenizer(), folder)
    return folder


def test_a_graph_of_ones_own_says_which_rules_it_uses(stranger: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.csv"
    rows = [f"Place {i},ruler,Ruler {i}\nRuler {i},realm,Place {i}" for i in range(30)]
    rows += [f"Place {i},colour,{('red', 'blue', 'green')[i % 3]}" for i in range(30)]
    facts.write_text("subject,relation,object\n" + "\n".join(rows), encoding="utf-8")
    own = ("graph.source=triples", f"graph.path={facts}", "graph.levels=none")
    found = done(tmp_path, *own, f"model.load={stranger}", "method.ft_l.layer=0")
    assert {role: outcome.error for role, outcome in found.items() if outcome.error} == {}
    info = found["graph"].info
    rule = {"rule": "ruler(a, b) -> realm(b, a)", "support": 30, "confidence": 1.0}
    assert rule in info["rules"]
    assert info["facts in the file"] == 90
    assert found["trial"].info["metrics"] > 0


def test_a_model_that_knows_nothing_is_measured_all_the_same(
    stranger: Path, tmp_path: Path
) -> None:
    found = done(tmp_path, f"model.load={stranger}", "method.ft_l.layer=0")
    assert {role: outcome.error for role, outcome in found.items() if outcome.error} == {}
    assert found["model"].info["layer"] is None
    assert "nothing to trace" in str(found["model"].info["warning"])
    why = "not asked: the tokenizer does not tell A, B, C and D apart"
    assert (found["before"].info["letters"], found["trial"].info["letters"]) == (why, why)
    assert found["before"].info["permutation_seed"] > 0
    (answers,) = tmp_path.glob("outcomes/*/1-1/answers.parquet")
    assert set(pl.read_parquet(answers)["step"]) == {0, 1}


def test_a_descent_that_diverges_says_where_and_leaves_its_curve(
    stranger: Path, tmp_path: Path
) -> None:
    task = ("task.kind=unlearn", 'task.method=["ga"]', "method.ga.lr=1e38")
    found = done(tmp_path, f"model.load={stranger}", *task)
    update = found["update"]
    assert update.reason == "error"
    said = r"Diverged: draw 0: the loss of the descent is not finite at step (\d+)"
    match = re.fullmatch(said, update.error or "")
    assert match and "diverged.json" in update.files
    (path,) = tmp_path.glob("assets/update-*/1-1/diverged.json")
    kept = json.loads(path.read_text())
    assert len(kept["curve"]["forget"]) == kept["step"] == int(match[1])
    trial = found["trial"]
    assert trial.error == f"NotMade: {update.key}, attempt 1: {update.error}"
    assert (trial.reason, trial.info["unfinished"]) == ("error", NOTHING)
    assert update.info["unfinished"] == NOTHING
    assert set(tables(tmp_path)) == {0}  # what was asked before is kept


NOTHING = {"draws": {"finished": 0, "of": 2}}


def tables(home: Path) -> dict[int, list[int]]:
    """Return step -> the draws of its answers, and see that its metrics are of those alone."""
    (path,) = home.glob("outcomes/*/1-1/answers.parquet")
    rows = pl.read_parquet(path)
    found = {
        step: sorted(rows.filter(step=step)["draw"].unique().to_list())
        for step in sorted(rows["step"].unique())
    }
    metrics = json.loads((path.parent / "metrics.json").read_text())
    asked = [row for row in metrics if row["probe"] == "efficacy" and not row["slice"]]
    assert {row["step"]: row["n"] for row in asked} == {s: len(d) for s, d in found.items()}
    return found


@pytest.mark.parametrize("reason", ["error", "oom"])
def test_draws_that_were_finished_before_another_failed_are_measured(
    stranger: Path, tmp_path: Path, reason: Reason
) -> None:
    """They lie where a whole update has them; the trial ends for the update's reason."""
    own = ('task.method=["ga"]', "method.ga.steps=2", "probe.memory=true")
    made = [*SMALL, "task.kind=unlearn", f"model.load={stranger}", *own]
    read = study.read(ROOT / "studies" / "plasticity.toml", made)
    found = performed(tmp_path, read)
    assert tables(tmp_path) == {0: [0, 1], 1: [0, 1]}
    specs = {spec.kind: spec for spec in specs_of(tmp_path, read)}
    update, trial = (Path(specs[kind].folder) for kind in ("update", "trial"))
    one, two = deltas.load_for(update / "delta.safetensors", found["model"].info["weights"])
    assert one.keys() == two.keys()
    job = Job(spec=specs["update"], folder=update)
    end = left(job, ValueError("no"), found["model"].info["weights"], [Result(delta=one)])
    assert end.info == {"unfinished": {"draws": {"finished": 1, "of": 2}}}
    replace(found["update"], reason=reason, error="no", info=end.info).write(update)
    shutil.rmtree(trial)
    perform(specs["trial"], lambda: HANDLERS)
    outcome = Outcome.read(trial)
    assert outcome and outcome.reason == reason
    assert outcome.info["unfinished"] == {"draws": {"finished": 1, "of": 2}}
    assert tables(tmp_path) == {0: [0, 1], 1: [0]}
    sets = pl.read_parquet(trial / "memory.parquet")
    assert set(sets.filter(step=0)["draw"]) == {0, 1}
    assert set(sets.filter(step=1)["draw"]) == {0}


def test_a_trial_that_fails_while_it_asks_keeps_the_draws_that_were_asked(
    stranger: Path, tmp_path: Path
) -> None:
    """Here the second draw's update cannot be added to the weights: it is of other shapes."""
    made = [*SMALL, f"model.load={stranger}", "method.ft_l.layer=0"]
    read = study.read(ROOT / "studies" / "plasticity.toml", made)
    found = performed(tmp_path, read)
    specs = {spec.kind: spec for spec in specs_of(tmp_path, read)}
    update, trial = (Path(specs[kind].folder) for kind in ("update", "trial"))
    weights = found["model"].info["weights"]
    one, _ = deltas.load_for(update / "delta.safetensors", weights)
    broken = {name: torch.zeros(1, 2) for name in one}
    about = {"method": "ft_l", "base": weights, "update": specs["update"].key}
    deltas.save([one, broken], update / "delta.safetensors", about)
    shutil.rmtree(trial)
    perform(specs["trial"], lambda: HANDLERS)
    outcome = Outcome.read(trial)
    assert outcome and outcome.reason == "error" and "(1, 2)" in str(outcome.error)
    assert outcome.info["unfinished"] == {"draws": {"finished": 1, "of": 2}}
    assert tables(tmp_path) == {0: [0, 1], 1: [0]}


def test_a_trial_says_what_was_trained_on_to_be_kept(stranger: Path, tmp_path: Path) -> None:
    """An unlearner's retain set, and what of it probes ask about; an editor has none."""
    own = ('task.method=["graddiff"]', "method.graddiff.steps=2", "method.graddiff.batch=20")
    found = done(tmp_path, f"model.load={stranger}", *own, "method.graddiff.stop_forget=1e-9")
    assert {role: outcome.error for role, outcome in found.items() if outcome.error} == {}
    (path,) = tmp_path.glob("assets/update-*/1-1/update.json")
    made = json.loads(path.read_text(encoding="utf-8"))
    said = "stop_forget = 1e-09 was not met in 2 steps by draw 0, 1, whose old answers had "
    assert made["warning"] == found["update"].info["warning"]
    assert made["warning"].startswith(said)
    assert made["warning"] in (path.parent / "events.jsonl").read_text(encoding="utf-8")
    assert [set(one) for one in made["retain"]] == [{"facts", "digest"}] * 2
    assert [one["facts"] for one in made["retain"]] == [40, 40]  # no more can have their turn
    (path,) = tmp_path.glob("outcomes/*/1-1/answers.parquet")
    rows = pl.read_parquet(path)
    known = graph.load(tmp_path / "assets" / found["graph"].key / "1-1")
    for draw in (0, 1):
        asked = [Request(**row) for row in made["requests"][draw]]
        seed = derived_seed(0, "retain", draw)
        kept = {s.fact for s in graph.retain(known, asked, 40, seed)}
        mine = rows.filter(draw=draw, probe="same_subject")
        assert set(mine.filter("trained")["fact"]) == set(mine["fact"]) & kept
        assert mine["trained"].null_count() and mine["trained"].count()
    plain = done(tmp_path / "plain", f"model.load={stranger}", "method.ft_l.layer=0")
    assert plain["trial"].reason == "ok"
    (path,) = (tmp_path / "plain").glob("outcomes/*/1-1/answers.parquet")
    assert pl.read_parquet(path)["trained"].count() == 0


def test_relearn_learns_a_users_answers(stranger: Path, tmp_path: Path) -> None:
    """Those of the file; a fact that is not in it is learnt in the graph's own words."""
    task = ("task.kind=unlearn", 'task.method=["relearn"]', "method.relearn.steps=2")
    plain = done(tmp_path / "plain", f"model.load={stranger}", *task)
    (log,) = (tmp_path / "plain").glob("assets/update-*/1-1/update.json")
    made = json.loads(log.read_text())
    (asked, *_), *_ = made["requests"]
    row = {name: asked[name] for name in ("subject", "relation")}
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps(row | {"prompt": "Nobody knows the", "answer": "emblem"}))
    own = (*task, f"method.relearn.answers={file}")
    found = done(tmp_path / "own", f"model.load={stranger}", *own)
    assert {role: outcome.error for role, outcome in found.items() if outcome.error} == {}
    assert found["update"].key != plain["update"].key
    (log,) = (tmp_path / "own").glob("assets/update-*/1-1/update.json")
    counts = [draw["questions"] for draw in json.loads(log.read_text())["draws"]]
    assert counts == [1, made["draws"][1]["questions"]]
    file.write_text(json.dumps(row | {"prompt": "It is the", "answer": f"old {asked['old']}"}))
    leaking = done(tmp_path / "leaks", f"model.load={stranger}", *own)["update"]
    assert f"line 1: the answer holds '{asked['old']}'" in (leaking.error or "")
    file.write_text("{}")
    with pytest.raises(UserError, match=r"answers.* line 1: no field 'subject'"):
        done(tmp_path / "broken", f"model.load={stranger}", *own)


def test_other_names_of_the_answers_lie_beside_what_was_written(
    stranger: Path, tmp_path: Path
) -> None:
    asks = 'probe.kinds=["efficacy", "same_subject", "reverse"]'
    names = ("graph.facts=200", "graph.aliases=0.5", asks, "task.draws=4")
    found = done(tmp_path, f"model.load={stranger}", "method.ft_l.layer=0", *names)
    assert {role: outcome.error for role, outcome in found.items() if outcome.error} == {}
    known = graph.load(next(tmp_path.glob("assets/graph-*/1-1")))
    (path,) = tmp_path.glob("outcomes/*/1-1/answers.parquet")
    rows = pl.read_parquet(path).filter(pl.col("probe") != "known")
    answer = pl.col("candidates").list.get(pl.col("right"), null_on_oob=True)
    pairs = rows.select("step", answer.alias("answer"), "aliases").rows()
    for _, name, aliases in pairs:
        entity = known.entity.get(name or "")
        assert aliases == list(entity.aliases if entity else ())
    assert {step for step, _, aliases in pairs if aliases} == {0, 1}


def test_a_fact_is_unlearned_towards_all_objects_of_its_type(
    stranger: Path, tmp_path: Path
) -> None:
    asks = 'probe.kinds=["efficacy", "direct", "neighborhood"]'
    task = ("task.kind=unlearn", "task.neutral=uniform", "task.draws=4")
    own = ("graph.facts=200", asks, *task, "method.ft_l.steps=5")
    found = done(tmp_path, f"model.load={stranger}", "method.ft_l.layer=0", *own)
    assert {role: outcome.error for role, outcome in found.items() if outcome.error} == {}
    (path,) = tmp_path.glob("outcomes/*/1-1/metrics.json")
    rows = [row for row in json.loads(path.read_text()) if row["slice"] == ""]
    by = {(row["step"], row["probe"], row["measure"]): row for row in rows}
    assert (1, "efficacy", "success") not in by and (1, "neighborhood", "success") in by
    for step in (0, 1):
        assert 0 <= by[step, "efficacy", "evenness"]["value"] <= 1
    assert by[1, "objective", "task"]["value"] < by[0, "objective", "task"]["value"]
    (update,) = tmp_path.glob("assets/update-*/1-1/update.json")
    for (asked,) in json.loads(update.read_text())["requests"]:
        assert asked["old"] in asked["others"]


def test_a_question_without_aliases_has_the_digest_that_it_always_had() -> None:
    plain = Question(
        id="0.0/efficacy/0",
        draw=0,
        request="0.0",
        probe="efficacy",
        set="target",
        prompt="The emblem of Aro is",
        candidates=("fern", "ivy"),
        right=0,
        right_before=1,
        rival=1,
        subject="Aro",
        fact="Aro / emblem",
    )
    named = plain._replace(aliases=("b",))
    assert told(named) == told(plain) | {"aliases": ("b",)}
    later = {"aliases", "aliases_before", "sampled", "seed"}
    assert not later & set(told(plain))
    assert len(told(plain)) == len(Question._fields) - len(later)


def test_without_a_trace_a_method_must_be_told_its_layer(
    stranger: Path, tmp_path: Path
) -> None:
    found = done(tmp_path, f"model.load={stranger}")
    assert found["update"].reason == "error"
    assert "set the method's layer" in str(found["update"].error)


def test_a_trained_folder_loaded_is_the_same_model(lab: Path, tmp_path: Path) -> None:
    (trained,) = lab.glob("assets/model-*/*/model")
    found = done(tmp_path, f"model.load={trained}", CUT[0], "graph.seed=0")
    assert {role: outcome.error for role, outcome in found.items() if outcome.error} == {}
    recall = {
        row["slice"]: row["value"]
        for path in tmp_path.glob("assets/model-*/1-1/metrics.json")
        for row in json.loads(path.read_text())
        if row["measure"] == "accuracy"
    }
    theirs = {
        row["slice"]: row["value"]
        for path in lab.glob("assets/model-*/*/metrics.json")
        for row in json.loads(path.read_text())
        if row["measure"] == "accuracy"
    }
    assert recall == theirs


def test_weights_that_changed_in_place_are_refused(stranger: Path, tmp_path: Path) -> None:
    """The digest of a study is of the files as they were read; a worker reads them later."""
    folder, home = tmp_path / "model", tmp_path / "lab"
    shutil.copytree(stranger, folder)
    sets = (f"model.load={folder}", "method.ft_l.layer=0")
    trained = done(home, *sets)
    save(cast(Any, tiny("llama", scale=0.2)), tokenizer(), folder)
    for path in home.glob("assets/update-*/1-1"):
        shutil.rmtree(path)
    update = study.nodes(
        study.read(ROOT / "studies/plasticity.toml", [*SMALL, *sets]).points[0]
    )
    assert update["update"].key != trained["update"].key  # a study read now means another model
    spec = Spec(
        key=trained["update"].key,
        kind="update",
        recipe=update["update"].recipe,
        needs={
            role: str(home / "assets" / trained[role].key / "1-1")
            for role in ("graph", "model")
        },
        need_keys={role: trained[role].key for role in ("graph", "model")},
        files={"model.load": str(folder)},
        folder=str(home / "assets" / trained["update"].key / "1-1"),
        attempt=1,
        fence=1,
    )
    perform(spec, lambda: HANDLERS)
    outcome = Outcome.read(Path(spec.folder))
    assert outcome and "are not those" in str(outcome.error)


def test_a_sequence_is_measured_on_its_way(stranger: Path, tmp_path: Path) -> None:
    asks = 'probe.kinds=["efficacy", "same_subject", "utility"]'
    long = (
        "task.sequence=5",
        "task.batch=2",
        "task.checkpoints=[2]",
        "probe.sentences=5",
        asks,
    )
    found = done(tmp_path, f"model.load={stranger}", "method.ft_l.layer=0", *long)
    assert {role: outcome.error for role, outcome in found.items() if outcome.error} == {}
    assert found["update"].info["steps"] == [2, 5]
    (events,) = tmp_path.glob("assets/update-*/1-1/events.jsonl")
    told = (json.loads(line) for line in events.read_text(encoding="utf-8").splitlines())
    first = next(event for event in told if event["event"] == "progress")
    assert (first["done"], first["total"]) == (0, 10)
    said = r"facts written; of the next batch 0/\d+ steps of descent"
    assert re.fullmatch(said, first["text"])
    (path,) = tmp_path.glob("outcomes/*/1-1/answers.parquet")
    rows = pl.read_parquet(path).filter(pl.col("probe") != "known")
    asked = rows.filter(probe="efficacy").group_by("step").len().sort("step").rows()
    assert asked == [(0, 10), (2, 4), (5, 10)]
    ends = rows.filter(pl.col("request") == "0.4")["written_at"]
    assert set(ends) == {5}
    metrics = json.loads(path.with_name("metrics.json").read_text())
    told = {(row["step"], row["probe"], row["measure"], row["slice"]) for row in metrics}
    along = {("sequence", "learnt", ""), ("sequence", "norm", ""), ("drift", "distance", "")}
    along |= {("efficacy", "success", "current"), ("drift", "cka", "")}
    assert {(step, *name) for step in (2, 5) for name in along} <= told
    assert (5, "efficacy", "success", "earlier") in told
    assert {row[0] for row in told if row[1:3] == ("drift", "effective_rank")} == {5}
    spec, base = _spec_of(found, tmp_path)
    assert checkout(spec, 1, tmp_path / "early", 2) == 1
    with pytest.raises(UserError, match="after 3 facts; there are those after 2, 5"):
        checkout(spec, 1, tmp_path / "never", 3)
    assert sorted((tmp_path / "assets" / base).glob("1-1/chain/*"))  # one file a draw
    assert not (tmp_path / "partial").exists() or not list((tmp_path / "partial").iterdir())


def _spec_of(found: dict[str, Outcome], home: Path) -> tuple[Spec, str]:
    """Return the spec of the trial, and the key of its update."""
    keys = {role: found[role].key for role in ("graph", "model", "update")}
    (log,) = home.glob("outcomes/*/1-1/outcome.json")
    spec = Spec(
        key=found["trial"].key,
        kind="trial",
        recipe={"task": {"draws": 2}},
        needs={role: str(home / "assets" / key / "1-1") for role, key in keys.items()},
        need_keys=keys,
        files={"model.load": str(found["model"].info["opened"]["source"])},
        folder=str(log.parent),
        attempt=1,
        fence=1,
    )
    return spec, keys["update"]


def test_a_search_is_told_what_to_keep_and_that_is_recorded(
    stranger: Path, tmp_path: Path
) -> None:
    """In a sequence by batches: what later ones will change is not known to the first."""
    short = ("steps=2", "contexts=1", "layers=[0]", "moment_tokens=500", "keep=relations")
    own = ('task.method=["memit"]', *(f"method.memit.{one}" for one in short))
    chain = ("task.draws=1", "task.sequence=4", "task.batch=2", 'probe.kinds=["efficacy"]')
    found = done(tmp_path, f"model.load={stranger}", *own, *chain)
    assert {role: o.error for role, o in found.items() if o.error} == {}
    (path,) = tmp_path.glob("assets/update-*/1-1/update.json")
    told = json.loads(path.read_text(encoding="utf-8"))
    (draw,) = told["requests"]
    assert set(told["kept"]) == {f"{r['subject']} / {r['relation']}" for r in draw}
    assert all(told["kept"].values())
