"""A study's results as one HTML file that opens anywhere."""

from pathlib import Path

from ksmith.records import inside


def path(study: str, home: Path) -> Path:
    """Return where the report of a study is kept, written or not."""
    return inside(home / "report", f"{study}.html")


def write(study: str, home: Path, url: str | None = None) -> Path:
    """Return the file, now written: `<home>/report/<study>.html`.

    Args:
        study: its name.
        home: the lab's folder.
        url: of the database, where it is not the file in `home`.

    Raises:
        UserError: no such study in the lab.
    """
    from ksmith.report.gather import gather
    from ksmith.report.page import render

    target = path(study, home)
    page = render(gather(study, home, url))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(target)
    return target
