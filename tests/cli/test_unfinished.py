"""`ksmith trial show` tells what a trial that failed had measured by then."""

from pathlib import Path

from click.testing import CliRunner

from ksmith.cli import ksmith
from tests.tracking.labs import MadeLab, point


def test_what_was_measured_and_where_the_loss_was_is_shown(tmp_path: Path) -> None:
    lab = MadeLab(tmp_path / "lab")
    (trial,) = lab.study("s", point("npo"), broken={"update"})
    key = lab.attempt(trial, "error", "NotMade: it diverged", unfinished=True).key
    shown = CliRunner().invoke(ksmith, ["--home", str(lab.home), "trial", "show", key])
    assert shown.exit_code == 0, shown.output
    assert f"{key}: failed: NotMade: it diverged" in shown.output
    _, told = shown.output.split("measured before it failed; no report and no mean has it\n")
    lines = [line.strip() for line in told.split("\n\n")[0].splitlines()]
    assert lines == [
        "draws after the update: 7 of 20",
        "diverged at step: 3",
        "loss of the last good step, forget: 9.0",
    ]
    assert "efficacy.success" in told
