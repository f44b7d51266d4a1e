"""Where results are looked at: what the verbs start, and what they refuse."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ksmith.cli import ksmith
from ksmith.cli.look import server
from ksmith.cli.run import tell_sent
from ksmith.cli.watch import assets, headline, picture
from ksmith.scheduler import Progress, Running
from ksmith.tracking.client import QUIET
from tests.conftest import ROOT

STUDY = 'name = "s"\nquestion = "?"\n[grid]\n"task.method" = ["rome"]\n'


def run(*words: str, home: Path) -> Result:
    return CliRunner().invoke(ksmith, [*words, "--home", str(home)])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    file = tmp_path / "s.toml"
    file.write_text(STUDY)
    home = tmp_path / "lab"
    assert run("study", "create", str(file), home=home).exit_code == 0
    return home


def test_ui_listens_on_the_loopback_address(home: Path) -> None:
    command = server("sqlite:///x.db", home, *defaults("ui", "host", "port"))
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--backend-store-uri") + 1] == "sqlite:///x.db"
    assert (
        command[command.index("--default-artifact-root") + 1] == (home / "artifacts").as_uri()
    )


def defaults(verb: str, *names: str) -> tuple[str, int]:
    options = {option.name: option.default for option in ksmith.commands[verb].params}
    host, port = (options[name] for name in names)
    assert isinstance(host, str)
    assert isinstance(port, int)
    return host, port


def test_ui_of_a_server_names_it_without_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@tracker:5000")
    done = run("ui", home=home)
    assert done.exit_code == 2
    assert "tracker:5000" in done.stderr
    assert "secret" not in done.output


def test_sync_of_an_empty_outbox(home: Path) -> None:
    done = run("sync", home=home)
    assert (done.exit_code, done.stdout.split(",")[1]) == (0, " 0 left\n")
    told = json.loads(run("sync", "--json", home=home).stdout)
    assert (told["sent"], told["left"], told["error"]) == (0, 0, None)
    assert run("sync", "--study", "s", home=home).exit_code == 2
    assert "did you mean 's'" in run("sync", "--again", "--study", "ss", home=home).stderr


def test_ui_of_any_store_has_mlflows_telemetry_off(home: Path, tmp_path: Path) -> None:
    """The server that takes the verb's place is made up: it prints what it was started with."""
    (tmp_path / "fake" / "mlflow").mkdir(parents=True)
    show = "import os; print(os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    (tmp_path / "fake" / "mlflow" / "__init__.py").touch()
    (tmp_path / "fake" / "mlflow" / "__main__.py").write_text(show)
    environment = {name: os.environ[name] for name in os.environ.keys() - QUIET.keys()}
    environment |= {"PYTHONPATH": f"{tmp_path / 'fake'}{os.pathsep}{ROOT}"}
    environment |= {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/other.db"}
    done = subprocess.run(
        [sys.executable, "-m", "ksmith", "ui", "--home", str(home)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.stdout == "true\n", done.stderr


def test_report_of_a_study_without_results(home: Path) -> None:
    done = run("report", "s", home=home)
    assert done.exit_code == 0, done.output
    path = Path(done.stdout.strip())
    assert path == home / "report" / "s.html"
    assert "No trial is done yet" in path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["s.html"]
    told = json.loads(run("report", "s", "--json", home=home).stdout)
    assert told == {"study": "s", "report": str(path)}


def test_doctor_finds_what_is_wrong(home: Path) -> None:
    well = run("doctor", "--json", home=home)
    assert well.exit_code == 0, well.output
    assert {row["what"] for row in json.loads(well.stdout)["findings"]} >= {"torch", "MLflow"}
    (home / "ksmith.db").write_bytes(b"something else" * 100)
    sick = run("doctor", "--json", home=home)
    assert sick.exit_code == 1
    wrong = [row["what"] for row in json.loads(sick.stdout)["findings"] if not row["ok"]]
    assert wrong == ["database"]


# --- progress ---------------------------------------------------------------------------------


def progress(**changes: object) -> Progress:
    given: dict[str, object] = {
        "trials": {"done": 3, "failed": 1, "ready": 4},
        "assets": {"graph": (1, 1), "update": (3, 8)},
        "running": (
            Running(
                key="update-1-0123456789abcdef0123",
                kind="update",
                worker="worker 1",
                done=2,
                total=5,
                text="[red]draws[/red] done",
                seconds=3.2,
            ),
        ),
        "finished": 4,
        "failed": 1,
        "seconds": 75.0,
        "rate": 0.05,
        "eta": 80.0,
        "stopping": False,
        "waiting": 0,
    }
    return Progress(**(given | changes))  # type: ignore[arg-type]


def test_plain_lines() -> None:
    assert headline(progress()) == "3 of 8 trials done, 1 failed, 1 min 20 s to go"
    assert headline(progress(eta=None, waiting=2)).endswith("1 failed, 2 in another run")
    assert assets(progress()) == "graph 1/1, update 3/8"


def test_live_picture_shows_text_as_it_is() -> None:
    from rich.console import Console

    console = Console(width=120, record=True, file=StringIO())
    console.print(picture(progress(stopping=True)))
    shown = console.export_text()
    for word in ("worker 1", "01234567", "2/5", "[red]draws[/red] done", "Ctrl-C again"):
        assert word in shown


def test_whoever_sent_nothing_is_looked_up_only_where_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "sync.log"
    log.write_text("of an earlier run\n")
    size = log.stat().st_size
    tell_sent(b"", log, size)
    assert capsys.readouterr().err == (
        "MLflow has not heard of every result; to send the rest: ksmith sync\n"
    )
    tell_sent(b"", log, 0)
    assert f"see {log}, then: ksmith sync" in capsys.readouterr().err
    tell_sent(b'{"left": 0, "error": ""}\n', log, size)
    assert capsys.readouterr().err == ""
