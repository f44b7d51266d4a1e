"""`ksmith graph rules`: from a file of facts, a study file, a stored study."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from ksmith.cli import ksmith

STUDY = (
    'name = "own"\nquestion = "?"\n[task]\nmethod = "rome"\ndraws = 3\n'
    '[graph]\nsource = "triples"\npath = "facts.csv"\n'
)
RULE = "ruler(a, b) -> realm(b, a)"


def run(*words: str) -> Result:
    return CliRunner().invoke(ksmith, list(words))


def facts(folder: Path) -> Path:
    path = folder / "facts.csv"
    rows = [f"Place {i},ruler,Ruler {i}\nRuler {i},realm,Place {i}" for i in range(20)]
    rows += [f"Place {i},heir,Ruler {19 - i}" for i in range(8)] + ["Place 0,ruler,Ruler 0"]
    path.write_text("subject,relation,object\n" + "\n".join(rows), encoding="utf-8")
    return path


def test_of_a_file_of_facts(tmp_path: Path) -> None:
    done = run("graph", "rules", str(facts(tmp_path)))
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.output.splitlines() if RULE in line]
    assert line.split() == [
        "*", *RULE.split(), "20", "1.000", "1.000", "0",
        "a", "=", "Place", "0,", "b", "=", "Ruler", "0",
    ]  # fmt: skip
    assert "48 facts of 3 relations" in done.output
    assert "1 duplicate facts" in done.output
    assert "functional: heir, realm, ruler" in done.output


def test_of_a_study_as_json_and_of_a_stored_one(tmp_path: Path) -> None:
    facts(tmp_path)
    study = tmp_path / "own.toml"
    study.write_text(STUDY)
    home = ["--home", str(tmp_path / "lab")]
    (found,) = json.loads(run("graph", "rules", str(study), "--json", *home).stdout)
    rules = {row["rule"]: row for row in found["rules"]}
    assert rules[RULE]["used"] and rules[RULE]["support"] == 20 and not rules[RULE]["mirror"]
    assert found["functional"] == ["heir", "realm", "ruler"]
    strict = run("graph", "rules", str(study), "--set", "graph.rules=none", "--json", *home)
    assert json.loads(strict.stdout)[0]["rules"] == []
    created = run("study", "create", str(study), *home)
    assert created.exit_code == 0, created.output
    # Nobody has written these rules: they are pointed to before anything runs.
    assert f"mined rules say what follows from what; `ksmith graph rules {study}`" in (
        created.stderr
    )
    again = run("graph", "rules", "own", "--json", *home)
    assert json.loads(again.stdout) == [found]


def test_what_is_left_out_and_what_can_not_be_asked_is_said_before_anything_runs(
    tmp_path: Path,
) -> None:
    rows = [f"Player {i},sport,{('polo', 'golf', 'chess')[i % 3]}" for i in range(300)]
    rows += [rows[0], "Player 1,sport,chess", f"{'very ' * 30}long name,sport,golf"]
    (tmp_path / "facts.csv").write_text("subject,relation,object\n" + "\n".join(rows))
    study = tmp_path / "own.toml"
    study.write_text(STUDY)
    said = run("study", "plan", str(study), "--home", str(tmp_path / "lab")).stderr.splitlines()
    assert said == [
        "facts.csv: left out are duplicate facts (1), contradictory facts (2), "
        "facts with names that are too long (1)",
        f"no mined rule is sure enough: nothing follows from an update; `ksmith graph rules "
        f"{study}` shows them",
        "'sport' has 3 objects: too few for a choice of four; questions about it have no options",
    ]


def test_a_share_that_is_none_and_a_cycle_are_said(tmp_path: Path) -> None:
    rows = [f"Place {i},in,Place {(i - 1) // 3}\nPlace {i},hue,h{i % 5}" for i in range(1, 40)]
    (tmp_path / "facts.csv").write_text(
        "subject,relation,object\n" + "\n".join([*rows, "Place 0,in,Place 1"])
    )
    study = tmp_path / "own.toml"
    study.write_text(STUDY)
    more = ("task.forget=relation", "task.share=0.01", "task.draws=2")
    words = [word for value in more for word in ("--set", value)]
    said = run("study", "plan", str(study), *words).stderr.splitlines()
    assert said[1:] == [
        "'in' is no hierarchy: it has a cycle of 2: Place 1 -> Place 0 -> Place 1; there are no "
        "levels",
        "task.share = 0.01 of 2 relations with editable facts is 1: 0.5 of them",
    ]
    named = run("study", "plan", str(study), "--set", "graph.hierarchy=in")
    assert named.exit_code == 2
    assert "graph.hierarchy = 'in' has a cycle of 2: Place " in named.stderr


def test_what_has_no_rules(tmp_path: Path) -> None:
    study = tmp_path / "other.toml"
    study.write_text('name = "other"\nquestion = "?"\n[task]\nmethod = "rome"\n')
    done = run("graph", "rules", str(study))
    assert done.exit_code == 2
    assert 'no graph whose source is "triples"' in done.output
    done = run("graph", "rules", str(facts(tmp_path)), "--set", "graph.facts=3")
    assert done.exit_code == 2
    assert "--set changes a study file" in done.output
    (tmp_path / "x.parquet").touch()
    done = run("graph", "rules", str(tmp_path / "x.parquet"))
    assert done.exit_code == 2
    assert "x.parquet: no file of facts (.csv, .graphml" in done.output
    done = run("graph", "rules", str(tmp_path / "no.csv"))
    assert done.exit_code == 2
    assert "no such file" in done.output
