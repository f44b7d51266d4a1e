"""Too few facts for what a study asks: said at once, with what there is; nothing is stored."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ksmith.cli import ksmith
from ksmith.cli.enough import check_facts
from ksmith.cli.expected import check_measures
from ksmith.study import read
from tests.conftest import ROOT
from tests.graph.test_zsre import row, rows

RECORDS = ("counterfact", "zsre")  # whose files a user brings
COUNTERFACT = '[graph]\nsource = "counterfact"\npath = "data.json"\n'
SHIPPED = sorted(p for p in (ROOT / "studies").rglob("*.toml") if p.stem not in RECORDS)
STUDY = str(ROOT / "studies" / "plasticity.toml")


def test_too_few_facts_are_counted_before_anything_is_stored(tmp_path: Path) -> None:
    home = tmp_path / "lab"
    for verb in (["run"], ["study", "create"], ["study", "plan"]):
        words = [*verb, STUDY, "--set", "graph.facts=120", "--home", str(home)]
        done = CliRunner().invoke(ksmith, words)
        assert done.exit_code == 2, done.output
        assert "too few facts: 20 draws of 1 need 20" in done.output
        assert not (home / "ksmith.db").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[grid]\n"task.scale" = [1, 5000]\n', "s.toml:5: too few facts: 20 draws of 5000"),
        ("[task]\nscale = 5000\n", "s.toml:5: too few facts: 20 draws of 5000"),
        ("", "--set task.scale=5000: too few facts: 20 draws of 5000"),
        (
            "[task]\ndraws = 3\nsequence = 900\n",
            "s.toml:6: too few facts: 3 draws of 900 need 2700 different ones, and the graph has "
            "426 editable facts; lower task.draws or task.sequence, or raise graph.facts",
        ),
        (
            '[task]\ndraws = 2\nsequence = 100\nlevel = "root"\n',
            "s.toml:6: too few facts: 2 draws of 100 need 200 different ones, and the graph has "
            "108 editable facts at level 'root'",
        ),
        (
            '[task]\ndraws = 9\nscale = 8\nlevel = "root"\nforget = "entity"\n',
            "s.toml:6: too few entities: 9 draws of 8 need 72 different ones, and the graph has "
            "18 entities with editable facts at level 'root'",
        ),
        (
            '[task]\nscale = 2\nrelation = "crops"\n',
            "s.toml:6: task.relation = 'crops': no relation whose facts can be asked for; there "
            "are emblem, colour, export, crop, sport, leader",
        ),
        (
            "[graph]\nholdout = 0.001\n",
            "s.toml:5: graph.holdout = 0.001: leaves no holdout set",
        ),
        (COUNTERFACT, "s.toml:6: "),
        (COUNTERFACT, "data.json: a list of CounterFact records is needed, not an object"),
    ],
)
def test_the_place_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")
    file = tmp_path / "s.toml"
    file.write_text('name = "s"\nmethod.rome = {}\n\n' + text)
    words = ["study", "create", str(file), "--set", "task.method=rome"]
    given = [] if text else ["--set", "task.scale=5000"]
    done = CliRunner().invoke(ksmith, ["--home", str(tmp_path / "lab"), *words, *given])
    assert done.exit_code == 2, done.output
    assert message in done.stderr


def test_a_share_that_leaves_nothing_to_retain_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        'name = "s"\ngraph.facts = 200\n[task]\nkind = "unlearn"\nshare = 1\ndraws = 1\n'
        'method = "npo"\n[method.npo]\nretain_near = false\n'
    )
    done = CliRunner().invoke(ksmith, ["study", "plan", str(file)])
    assert done.exit_code == 2, done.output
    assert "s.toml:5: task.share = 1.0: draw 0 of " in done.stderr
    for more in ("method.npo.retain_near=true", "method.npo.retain_weight=0"):
        done = CliRunner().invoke(ksmith, ["study", "plan", str(file), "--set", more])
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_what_ships_asks_for_no_more_than_there_is(path: Path) -> None:
    study = read(path)
    check_measures(study)
    check_facts(study)  # both raise
    assert study.points


def test_what_is_left_out_of_a_users_records_is_said(tmp_path: Path) -> None:
    records = [*rows(), row("Odd", 9) | {"answers": []}, row("Town1", 9)]
    (tmp_path / "zsre.json").write_text(json.dumps(records))
    sets = (f"graph.path={tmp_path / 'zsre.json'}", "graph.records=16", "task.scale=[1]")
    words = [word for value in (*sets, "task.draws=[2]") for word in ("--set", value)]
    file = str(ROOT / "studies" / "zsre.toml")
    done = CliRunner().invoke(ksmith, ["study", "plan", file, *words])
    assert done.exit_code == 0, done.output
    assert (
        "zsre.json: left out are records without an answer (1), "
        "records with the question and subject of an earlier one (1)"
    ) in done.stderr


def test_a_finding_about_no_metric_is_refused(tmp_path: Path) -> None:
    text = Path(STUDY).read_text().replace("efficacy.generated", "efficacy.genrated")
    file = tmp_path / "s.toml"
    file.write_text(text.replace("spread.", "spred."))
    words = ["study", "create", str(file), "--home", str(tmp_path / "lab")]
    done = CliRunner().invoke(ksmith, words)
    assert done.exit_code == 2, done.output
    assert "no metric efficacy.genrated; did you mean efficacy.generated?" in done.stderr
    line = text[: text.index("efficacy.genrated")].count("\n") + 1
    assert f"s.toml:{line}: measure" in done.stderr
    assert not (tmp_path / "lab" / "ksmith.db").exists()


def test_metrics_of_gold_models_and_their_slices_are_known(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    measures = ("multi_hop.gold_distance.known", "counterfact.score", "zsre.score")
    findings = "".join(
        f'[[finding]]\nsays = "a"\nmeasure = "{name}"\nmore = {{ "task.level" = "leaf" }}\n'
        'less = { "task.level" = "root" }\n'
        for name in measures
    )
    file.write_text(f'name = "s"\nquestion = "?"\n[task]\nmethod = "rome"\n{findings}')
    study = read(file)
    check_measures(study)  # it raises
    assert [finding.measure for finding in study.findings] == [*measures]


def test_a_finding_written_in_one_line_is_refused_as_well(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    sides = 'more = { "task.level" = "leaf" }, less = { "task.level" = "root" }'
    finding = f'finding = [{{ says = "a", measure = "efficacy.nothing", {sides} }}]\n'
    file.write_text(f'name = "s"\nquestion = "?"\n{finding}[task]\nmethod = "rome"\n')
    done = CliRunner().invoke(ksmith, ["study", "create", str(file), "--home", str(tmp_path)])
    assert done.exit_code == 2, done.output
    assert "s.toml:3: measure" in done.stderr
