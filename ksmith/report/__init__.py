"""A study's results as one HTML file that opens anywhere."""

from pathlib import Path


def write(study: str, home: Path, url: str | None = None) -> Path:
    """Return the file, now written: `<home>/report/<study>.html`.

    Args:
        study: its name.
        home: the lab's folder.
        url: of the database, where it is not the file in `home`.

    Raises:
        UserError: no such study in the lab.
    """
    from ksmith.records import inside
    from ksmith.report.gather import gather
    from ksmith.report.page import render

    folder = home / "report"
    path = inside(folder, f"{study}.html")
    page = render(gather(study, home, url))
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(path)
    return path
