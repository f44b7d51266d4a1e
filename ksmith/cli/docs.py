"""The README's tables: those of `ksmith.report.docs`, and one of the verbs."""

from collections.abc import Iterator

import click


def tables() -> dict[str, str]:
    """Return Markdown tables by name: verbs, methods, probes, metrics, settings."""
    from ksmith.report import docs

    rows = [[f"`{usage}`", help_text] for usage, help_text in verbs()]
    return {"verbs": docs.markdown(["verb", "does"], rows), **docs.tables()}


def verbs() -> Iterator[tuple[str, str]]:
    """Yield how each verb is called and the first sentence of its help."""
    from ksmith.cli import ksmith

    yield from _below(ksmith, "ksmith")


def _below(group: click.Group, path: str) -> Iterator[tuple[str, str]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _below(command, f"{path} {name}")
        else:
            words = [
                parameter.make_metavar(click.Context(command))
                for parameter in command.params
                if isinstance(parameter, click.Argument)
            ]
            first = (command.help or "").split("\n\n")[0].split("\f")[0]
            yield " ".join([path, name, *words]), " ".join(first.split())
