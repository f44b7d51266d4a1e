"""A wheel carries all that a run needs: migrations, studies, the report's style."""

from pathlib import Path

from tests.conftest import run_ksmith


def test_it_holds_migrations_and_studies_but_no_tests(installed: Path) -> None:
    assert list((installed / "ksmith" / "migrations" / "versions").glob("0001*.py"))
    assert (installed / "ksmith" / "studies" / "plasticity.toml").is_file()
    assert not (installed / "tests").exists()


def test_the_readmes_study_runs_from_it_elsewhere(lab: Path) -> None:
    """Not from the checkout: the lab's study, migrations and workers are those in the wheel."""
    assert (lab / "report" / "plasticity.html").is_file()
    assert not (lab.parent / "elsewhere" / "studies").exists()


def test_without_its_migrations_it_would_fail(installed: Path, tmp_path: Path) -> None:
    """The guard can fail: the same wheel, less one folder, cannot open a lab."""
    broken = tmp_path / "broken"
    (broken / "ksmith").mkdir(parents=True)
    for path in (installed / "ksmith").iterdir():
        if path.name != "migrations":
            (broken / "ksmith" / path.name).symlink_to(path)
    words = ("study", "create", "studies/plasticity.toml")
    done = run_ksmith(tmp_path / "home", *words, cwd=tmp_path, code=broken)
    assert done.returncode != 0
