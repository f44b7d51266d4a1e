"""The user's mistakes: a message alone, exit code 2, no traceback, and nothing in the lab."""

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ksmith.cli import ksmith
from ksmith.cli.shell import Verbs
from ksmith.records import UserError

GOOD = 'name = "s"\nquestion = "?"\n[grid]\n"task.method" = ["rome"]\n'

# What is wrong with a study file, and a word that the message must have.
BROKEN = {
    "not toml": ("name = ", "not TOML"),
    "unclosed string": ('name = "s', "not TOML"),
    "not text": (b"name = '\xff'", "UTF-8"),
    "no method": ('name = "s"\nquestion = "?"\n', "task.method"),
    "no name": ('question = "?"\n[grid]\n"task.method" = ["rome"]\n', "name"),
    "name is a number": (GOOD.replace('"s"', "3"), "name"),
    "unknown method": (GOOD.replace("rome", "romme"), "rome"),
    "unknown section": (GOOD + "[modle]\nseed = 1\n", "model"),
    "unknown setting": (GOOD + "[task]\ndrws = 3\n", "draws"),
    "wrong type": (GOOD + '[task]\ndraws = "many"\n', "draws"),
    "below bound": (GOOD + "[task]\ndraws = 0\n", "draws"),
    "infinite": (GOOD + "[method.rome]\nclamp = inf\n", "clamp"),
    "unknown source": (GOOD + '[graph]\nsource = "wiki"\n', "source"),
    "unknown level": (GOOD + '[task]\nlevel = "twig"\n', "level"),
    "axis is no list": (GOOD.replace('["rome"]', '"rome"'), "list"),
    "axis without values": (GOOD.replace('["rome"]', "[]"), "values"),
    "axis in the wrong place": (GOOD + '"scale" = [1]\n', "task.scale"),
    "method is no table": (GOOD + "[method]\nrome = 3\n", "rome"),
    "unknown method table": (GOOD + "[method.romme]\nsteps = 3\n", "rome"),
    "zip of other lengths": (
        GOOD + '[[zip]]\n"task.scale" = [1, 2]\n"task.draws" = [1]\n',
        "zip",
    ),
    "when without set": (GOOD + '[[when]]\nif = { "task.scale" = 1 }\n', "set"),
    "exclude of an unknown name": (GOOD + '[[exclude]]\n"task.scal" = 1\n', "task.scale"),
    "everything excluded": (GOOD + '[[exclude]]\n"task.method" = "rome"\n', "exclude"),
    "too many trials": (GOOD + f"seed = {list(range(10_001))}\n", "allow"),
    "both recipe and load": (GOOD + '[model]\nrecipe = "tiny"\nload = "x"\n', "load"),
}


def run(*words: str, home: Path | None = None) -> Result:
    first = ["--home", str(home)] if home else []
    return CliRunner().invoke(ksmith, [*first, *words])


def refused(result: Result, *wanted: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert "Error: " in result.stderr
    for word in wanted:
        assert word in result.stderr


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("verb", ["run", "study create"])
def test_broken_study_file(case: str, verb: str, tmp_path: Path) -> None:
    content, word = BROKEN[case]
    file = tmp_path / "s.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    home = tmp_path / "lab"
    refused(run(*verb.split(), str(file), home=home), word, "s.toml")
    assert not home.exists()


def test_there_are_twenty_and_the_good_one_is_good(tmp_path: Path) -> None:
    assert len(BROKEN) >= 20
    file = tmp_path / "s.toml"
    file.write_text(GOOD)
    done = run("study", "create", str(file), home=tmp_path / "lab")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "lab" / "ksmith.db").exists()


def test_what_is_no_file_is_called_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "link.toml").symlink_to("nothing.toml")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    (tmp_path / "folder.toml").mkdir()
    wanted = {"pipe": "is no regular file", "link": "to nothing", "loop": "to nothing"}
    for name, word in {**wanted, "folder": "is a folder"}.items():
        for verb in (["run"], ["study", "create"], ["study", "plan"]):
            file = str(tmp_path / f"{name}.toml")
            refused(run(*verb, file, home=tmp_path / "lab"), file, word)


@pytest.mark.parametrize("verb", ["run", "study create", "study plan"])
def test_a_name_that_no_file_can_have(verb: str, tmp_path: Path) -> None:
    refused(run(*verb.split(), "x" * 5000, home=tmp_path / "lab"), "no study")


def test_what_may_surprise_is_said_beside_the_result(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(GOOD + "[method.npo]\nbeta = 0.2\n")
    for verb in ("create", "plan"):
        done = run("study", verb, str(file), "--json", home=tmp_path / "lab")
        assert json.loads(done.stdout)["study"] == "s"
        assert "no trial uses it" in done.stderr


def test_all_mistakes_of_a_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(GOOD + '[task]\ndraws = 0\nlevel = "twig"\n')
    done = run("run", str(file), home=tmp_path / "lab")
    refused(done, "draws", "level")
    assert done.stderr.count("s.toml:") == 2


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("study", "creat"), "did you mean 'create'"),
        (("sttus",), "did you mean 'status'"),
        (("status", "--jsn"), "--json"),
        (("study", "create"), "FILE"),
        (("ui", "--port", "99999999"), "port"),
        (("run", "x.toml", "--workers", "0"), "workers"),
        (("run", "nothing.toml"), "nothing.toml"),
        (("run", "plasticit"), "did you mean 'plasticity'"),
        (("run", "studies/plasticit.toml"), "did you mean 'plasticity'"),
        (
            ("study", "plan", "a/b/c"),
            "no study file 'a/b/c': there is no such file; ksmith's own",
        ),
        (("study", "plan", "nonexistent.toml"), "': there is no such file; ksmith's own: "),
        (("study", "create", "./nonexistent.toml"), "': there is no such file; ksmith's own: "),
        (("study", "show", "x"), "no lab"),
        (("trial", "show", "ab12"), "no lab"),
        (("report", "x"), "no lab"),
        (("sync",), "no lab"),
        (("db", "check"), "no lab"),
        (("completion", "tcsh"), "tcsh"),
    ],
)
def test_slips_of_the_command_line(
    words: tuple[str, ...], hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(run(*words, home=tmp_path / "lab"), hint)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["task.draws", "=3", "task.drws=3", "task.draws=0"])
def test_broken_override(given: str, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(GOOD)
    home = tmp_path / "lab"
    refused(run("study", "create", str(file), "--set", given, home=home), "--set")
    assert not home.exists()


def test_home_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(GOOD)
    refused(run("study", "create", str(file), home=file), str(file))


def test_home_that_is_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "lab").symlink_to("lab")
    refused(run("run", "plasticity", home=tmp_path / "lab"), "cannot be used as a lab")


def test_override_of_a_stored_study(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(GOOD)
    home = tmp_path / "lab"
    assert run("study", "create", str(file), home=home).exit_code == 0
    refused(run("run", "s", "--set", "task.draws=3", home=home), "name the file")


def test_text_of_a_file_cannot_break_out_of_the_report_folder(tmp_path: Path) -> None:
    home = tmp_path / "lab"
    file = tmp_path / "s.toml"
    file.write_text(GOOD)
    assert run("study", "create", str(file), home=home).exit_code == 0
    refused(run("report", "../../x", home=home))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab", "s.toml"]


# --- what is no mistake of the user's ---------------------------------------------------------


def group(raised: BaseException) -> Verbs:
    verbs = Verbs("group")

    @verbs.command()
    def verb() -> None:
        raise raised

    return verbs


def test_a_bug_keeps_its_traceback() -> None:
    result = CliRunner().invoke(group(ZeroDivisionError("ours")), ["verb"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_interrupt() -> None:
    assert CliRunner().invoke(group(KeyboardInterrupt()), ["verb"]).exit_code == 130


def test_user_error() -> None:
    result = CliRunner().invoke(group(UserError("two\nlines")), ["verb"])
    assert (result.exit_code, result.stderr) == (2, "Error: two\nlines\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_reader_that_goes_away_is_no_error() -> None:
    import subprocess

    code = (
        "import click, sys\nfrom ksmith.cli.shell import Verbs\ng = Verbs('g')\n"
        "@g.command()\ndef verb():\n    for i in range(100000): click.echo('line')\n"
        "g(['verb'])"
    )
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" | head -n 1', sys.executable, code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("line\n", "")
