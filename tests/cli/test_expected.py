"""A finding about what no trial measures is told with the study, as one without trials is."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ksmith.cli import ksmith
from ksmith.cli.expected import unmeasured
from ksmith.study import read
from tests.conftest import ROOT

SHIPPED = sorted(
    path
    for path in (ROOT / "studies").rglob("*.toml")
    if path.stem not in ("counterfact", "zsre")
)
STUDY = """\
name = "s"
[graph]
facts = 120
[task]
kind = "unlearn"
draws = 1
[grid]
"task.method" = ["npo", "ga"]
[probe]
kinds = ["efficacy"]
"""
MEMORY = "memory = true\n"
ALL = ("graph.holdout=0.2", "task.gold=2", "probe.memory=true", "probe.memory_gradients=true")
NO_GOLD = "is of gold models, and there are none: say task.gold, or model.gold"
NO_HOLDOUT = "is of a holdout set, and there is none: say graph.holdout"


def finding(measure: str) -> str:
    sides = 'more = { "task.method" = "npo" }\nless = { "task.method" = "ga" }\n'
    return f'[[finding]]\nsays = "a"\nmeasure = "{measure}"\n{sides}'


def told(folder: Path, text: str, *sets: str) -> list[str]:
    file = folder / "s.toml"
    file.write_text(text)
    return unmeasured(read(file, sets))


@pytest.mark.parametrize(
    ("measure", "needed", "why"),
    [
        ("memory.ks.forget", "task.gold=2", NO_GOLD),
        ("memory.ks_margin.forget", "task.gold=2", NO_GOLD),
        ("memory.kl_gold.retain", "task.gold=2", NO_GOLD),
        ("memory.probability.gold.forget", "task.gold=2", NO_GOLD),
        ("efficacy.gold_distance", "task.gold=2", NO_GOLD),
        ("all.gold_margin.kept", "task.gold=2", NO_GOLD),
        ("memory.auc_loss", "graph.holdout=0.2", NO_HOLDOUT),
        ("memory.probability.holdout", "graph.holdout=0.2", NO_HOLDOUT),
        ("memory.kl.forget", "probe.memory=true", "is of probe.memory, which is false"),
        ("memory.rouge_f1.retain", "probe.memory=true", "is of probe.memory, which is false"),
        (
            "memory.auc_gradient",
            "probe.memory_gradients=true",
            "is of probe.memory_gradients, which is false",
        ),
        (
            "reverse.accuracy",
            'probe.kinds=["reverse"]',
            "is of probe reverse, which probe.kinds does not name",
        ),
        (
            "sequence.forgotten",
            "task.sequence=5",
            "is of sequences, and there are none: say task.sequence",
        ),
    ],
)
def test_what_is_missing_is_said_and_nothing_once_it_is_there(
    tmp_path: Path, measure: str, needed: str, why: str
) -> None:
    text = STUDY + finding(measure)
    name = needed.partition("=")[0]
    without = [given for given in ALL if not given.startswith(f"{name}=")]
    line = f'finding "a": no trial of more or less measures {measure}: it {why}'
    assert told(tmp_path, text, *without) == [line]
    # A sequence has no gold models.
    with_it = [needed] if name == "task.sequence" else [*without, needed]
    assert told(tmp_path, text, *with_it) == []


def test_one_side_may_lack_it(tmp_path: Path) -> None:
    text = STUDY + MEMORY + finding("memory.ks.forget")
    text += '[[when]]\nif = { "task.method" = "npo" }\nset = { "task.gold" = 2 }\n'
    (line,) = told(tmp_path, text)
    assert line == f'finding "a": no trial of less measures memory.ks.forget: it {NO_GOLD}'
    number = text.replace('less = { "task.method" = "ga" }', "less = 0.5")
    assert told(tmp_path, number) == []
    # A side without trials is told by itself.
    nobody = text.replace('less = { "task.method" = "ga" }', 'less = { "task.method" = "pdu" }')
    assert told(tmp_path, nobody) == []


def test_a_users_own_gold_models_and_holdout_file_count(tmp_path: Path) -> None:
    for name in ("base", "gold"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_text(name)
    for name in ("forget", "retain", "holdout"):
        (tmp_path / f"{name}.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    own = 'source = "qa"\nforget = "forget.jsonl"\nretain = "retain.jsonl"\n'
    text = STUDY.replace("facts = 120\n", own + 'holdout = "holdout.jsonl"\n') + MEMORY
    text += '[model]\nload = "base"\ngold = ["gold"]\n' + finding("memory.privleak")
    assert told(tmp_path, text) == []
    text = text.replace('gold = ["gold"]\n', "").replace('holdout = "holdout.jsonl"\n', "")
    assert [line.rpartition(": it ")[2] for line in told(tmp_path, text)] == [
        NO_GOLD,
        NO_HOLDOUT,
    ]


@pytest.mark.parametrize("verb", ["plan", "create"])
def test_it_is_said_beside_the_result(verb: str, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(STUDY + MEMORY + finding("memory.ks.forget"))
    words = ["--home", str(tmp_path / "lab"), "study", verb, str(file), "--json"]
    done = CliRunner().invoke(ksmith, words)
    assert done.exit_code == 0, done.output
    assert f"measures memory.ks.forget: it {NO_GOLD}" in done.stderr


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_measures_what_it_expects(path: Path) -> None:
    assert unmeasured(read(path, allow_large=True)) == []
