"""Verbs that look at a lab, or change a study, without running anything."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ksmith.cli import ksmith
from ksmith.store import Store

STUDY = """
name = "{name}"
question = "Does it?"
[grid]
"task.method" = ["rome", "npo"]
"task.scale" = {scales}
"""


class Lab:
    """A lab's folder with the verbs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "lab"

    def __call__(self, *words: str, code: int = 0, stdin: str | None = None) -> str:
        done = CliRunner().invoke(ksmith, [*words, "--home", str(self.home)], input=stdin)
        assert done.exit_code == code, done.output
        return done.stdout if code == 0 else done.stderr

    def json(self, *words: str) -> object:
        return json.loads(self(*words, "--json"))

    def write(self, name: str, scales: str = "[1, 2]", file: str | None = None) -> str:
        path = self.folder / f"{file or name}.toml"
        path.write_text(STUDY.format(name=name, scales=scales))
        return str(path)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_create_twice_changes_nothing(lab: Lab) -> None:
    file = lab.write("s")
    assert "4 trials stored: 4 new, 0 shared" in lab("study", "create", file)
    assert "nothing changed" in lab("study", "create", file)


def test_create_prints_what_it_stored_as_json(lab: Lab) -> None:
    file = lab.write("s")
    told = {"study": "s", "trials": 4, "new": 4, "shared": 0, "done": 0}
    assert lab.json("study", "create", file) == {**told, "unchanged": False, "replaced": False}
    again = lab.json("study", "create", file)
    assert again == {**told, "new": 0, "shared": 4, "unchanged": True, "replaced": False}


def test_studies_share_trials(lab: Lab) -> None:
    lab("study", "create", lab.write("one"))
    assert "6 trials stored: 2 new, 4 shared" in lab(
        "study", "create", lab.write("two", "[1, 2, 3]")
    )


def test_another_grid_needs_replace(lab: Lab) -> None:
    lab("study", "create", lab.write("s"))
    other = lab.write("s", "[1]", file="other")
    message = lab("study", "create", other, code=2)
    assert "another grid" in message
    assert "--replace" in message
    assert "2 trials relinked: 0 new, 2 shared" in lab("study", "create", other, "--replace")


def test_plan_makes_no_lab(lab: Lab) -> None:
    shown = lab("study", "plan", lab.write("s"))
    assert "4 trials (4 new, 0 shared, 0 done)" in shown
    assert "1 graph, 1 model, 1 moments, 2 before, 4 update" in shown
    assert "not known yet" in shown
    assert not lab.home.exists()


def test_plan_of_file_and_of_name_agree(lab: Lab) -> None:
    file = lab.write("s")
    lab("study", "create", file)
    assert lab.json("study", "plan", file) == lab.json("study", "plan", "s")


def test_list_show_status(lab: Lab) -> None:
    assert "no studies" in lab("study", "list")
    assert "no studies" in lab("status")
    assert not lab.home.exists()
    lab("study", "create", lab.write("s"))
    (row,) = lab.json("study", "list")  # type: ignore[misc]
    assert row["study"] == "s" and row["pending"] == 4 and row["done"] == 0
    shown = lab.json("study", "show", "s")
    assert isinstance(shown, dict)
    assert [trial["axes"]["task.scale"] for trial in shown["trials"]] == [1, 2, 1, 2]
    assert "[grid]" in lab("study", "show", "s")
    (status,) = lab.json("status", "s")  # type: ignore[misc]
    assert status["states"] == {"blocked": 4}
    assert status["assets"]["graph"] == {"ready": 1}
    assert "4 trials: 4 blocked" in lab("status")


def test_status_says_how_far_what_runs_is(lab: Lab) -> None:
    lab("study", "create", lab.write("s"))
    with Store.open(lab.home) as store:
        claim = store.claim("somebody")
    assert claim and f"  at work: {claim.key}\n" in lab("status")
    events = lab.home / f"{claim.folder}.tmp" / "events.jsonl"
    events.parent.mkdir(parents=True)
    lines = ({"event": "started"}, {"done": 3, "total": 9, "text": "steps of descent"})
    for said, line in zip(("", ": 3/9 steps of descent"), lines, strict=True):
        with events.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        assert f"  at work: {claim.key}{said}\n" in lab("status")
    with events.open("a", encoding="utf-8") as file:
        file.write('{"done": 4')  # half a line
    assert f"  at work: {claim.key}\n" in lab("status")


def test_delete_asks_and_keeps_trials(lab: Lab) -> None:
    lab("study", "create", lab.write("s"))
    lab("study", "delete", "s", stdin="n\n", code=1)
    assert "4 trials are kept, 4 in no study" in lab("study", "delete", "s", "--yes")
    assert "0 new, 4 shared" in lab("study", "create", lab.write("again"))


def test_trial_by_prefix(lab: Lab) -> None:
    lab("study", "create", lab.write("s"))
    shown = lab.json("study", "show", "s")
    assert isinstance(shown, dict)
    key: str = shown["trials"][0]["trial"]
    one = lab.json("trial", "show", key.rpartition("-")[2][:12])
    assert isinstance(one, dict)
    assert one["trial"] == key
    assert one["settings"]["task.scale"] == 1
    assert one["needs"]["model"]["state"] == "blocked"
    assert "4 keys" in lab("trial", "show", "trial-", code=2)
    assert "no trial" in lab("trial", "show", "zzzz", code=2)
    assert "no trial" in lab("trial", "show", "%", code=2)


def test_cancel_retry_logs(lab: Lab) -> None:
    lab("study", "create", lab.write("s"))
    shown = lab.json("study", "show", "s")
    assert isinstance(shown, dict)
    key: str = shown["trials"][0]["trial"]
    assert "blocked, and nothing" in lab("trial", "retry", key, code=2)
    assert "is cancelled" in lab("trial", "cancel", key)
    assert "1 cancelled" in lab("status", "s")
    assert "nothing to cancel" in lab("trial", "cancel", key, code=2)
    assert "tried again" in lab("trial", "retry", key)
    assert "4 blocked" in lab("status", "s")
    assert "no such attempt; there is none yet" in lab("trial", "logs", key, code=2)
    assert "is blocked: only a trial that is done" in lab("verify", key, code=2)
    assert "is blocked" in lab("checkout", key, str(lab.folder / "out"), code=2)
    assert not (lab.folder / "out").exists()


def test_database_verbs(lab: Lab) -> None:
    lab("study", "create", lab.write("s"))
    assert "up to date" in lab("db", "upgrade")
    assert "nothing is wrong" in lab("db", "check")
    copy = lab.folder / "copy.db"
    assert str(copy) in lab("db", "backup", str(copy))
    assert copy.stat().st_size > 0
    assert "overwrites nothing" in lab("db", "backup", str(copy), code=2)
    assert "0 nodes done" in lab("db", "reindex")


def test_check_finds_what_is_wrong(lab: Lab) -> None:
    lab("study", "create", lab.write("s"))
    stray = lab.home / "assets" / "graph-1-00000000000000000000" / "1-1"
    stray.mkdir(parents=True)
    done = CliRunner().invoke(ksmith, ["db", "check", "--json", "--home", str(lab.home)])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert not found["ok"]
    (problem,) = found["problems"]
    assert problem["folder"] == "assets/graph-1-00000000000000000000/1-1"
    assert "delete it" in problem["todo"]


def test_home_stands_before_or_after_the_verb_or_in_the_environment(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab("study", "create", lab.write("s"))
    runner = CliRunner()
    after = runner.invoke(ksmith, ["study", "list", "--home", str(lab.home)]).stdout
    before = runner.invoke(ksmith, ["--home", str(lab.home), "study", "list"]).stdout
    monkeypatch.setenv("KSMITH_HOME", str(lab.home))
    named = runner.invoke(ksmith, ["study", "list"]).stdout
    monkeypatch.delenv("KSMITH_HOME")
    monkeypatch.chdir(lab.folder)
    lab.home.rename(lab.folder / "mlruns")
    default = runner.invoke(ksmith, ["study", "list"]).stdout
    assert "Does it?" in after
    assert after == before == named == default


@pytest.mark.parametrize("word", ["plasticity", "plasticity.toml", "studies/plasticity.toml"])
def test_shipped_study_is_used_and_said(
    word: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab.folder)
    done = CliRunner().invoke(ksmith, ["study", "plan", word, "--home", str(lab.home)])
    assert done.exit_code == 0, done.output
    assert "using ksmith's own" in done.stderr
    assert "45 trials" in done.stdout


def test_own_file_goes_before_the_shipped_one(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab.folder)
    lab.write("plasticity")
    done = CliRunner().invoke(
        ksmith, ["study", "plan", "plasticity.toml", "--home", str(lab.home)]
    )
    assert "using" not in done.stderr
    assert "4 trials" in done.stdout


def test_a_gpu_that_is_not_there_is_said(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    told = lab("run", lab.write("s"), "--device", "cuda", "--here", code=2)
    assert "no GPU for --device cuda" in told
