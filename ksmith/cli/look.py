"""`ksmith report`, `ui`, `sync`: where results are looked at."""

from pathlib import Path

import click

from ksmith.cli.shell import Lab, home_option, json_option, note, print_json, with_lab
from ksmith.records import UserError

LOOPBACK = "127.0.0.1"


@click.command(epilog="\b\nExample:\n  ksmith report plasticity --open")
@click.argument("study")
@click.option("--open", "open_it", is_flag=True, help="Open it in a browser.")
@json_option
@home_option
@with_lab
def report(lab: Lab, study: str, *, open_it: bool, as_json: bool) -> None:
    """Write a STUDY's report, one HTML file, and print its path."""
    from ksmith import report as reports

    lab.visit().close()  # a database of an older schema is upgraded before it is read
    path = reports.write(study, lab.home, lab.database)
    if as_json:
        print_json({"study": study, "report": str(path)})
    else:
        click.echo(path)
    if open_it:
        click.launch(str(path))


@click.command(epilog="\b\nExample:\n  ksmith ui --port 5001")
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535))
@home_option
@with_lab
def ui(lab: Lab, host: str, port: int) -> None:
    """Serve MLflow's pages on the lab's runs.

    Only this machine can open them, unless --host says more.
    """
    import os

    from ksmith.tracking import own_uri, prepare, set_environment, shown_uri, tracking_uri

    set_environment()  # for the server, which inherits it: no telemetry
    uri = tracking_uri(lab.home)
    if uri.startswith(("http://", "https://")):
        raise UserError(f"runs are kept by {shown_uri(uri)}: open that in a browser")
    if not lab.there:
        raise UserError(f"no lab in {lab.home}: `ksmith run FILE` makes one")
    if uri == own_uri(lab.home):
        prepare(lab.home)
    if host not in (LOOPBACK, "localhost", "::1"):
        note(f"no login: whoever reaches {host}:{port} can read and change the runs")
    note(f"MLflow on http://{host}:{port} for the lab {lab.home}; Ctrl-C ends it")
    command = server(uri, lab.home, host, port)
    # The server takes this process's place, so signals reach it and nothing is left behind.
    os.execv(command[0], command)


def server(uri: str, home: Path, host: str, port: int) -> list[str]:
    """Return the command that serves MLflow's pages."""
    from ksmith.scheduler import module_command

    artifacts = (home.resolve() / "artifacts").as_uri()
    return [
        *(*module_command("mlflow"), "server", "--workers", "1"),
        *("--backend-store-uri", uri, "--default-artifact-root", artifacts),
        *("--host", host, "--port", str(port)),
    ]


@click.command(epilog="\b\nExample:\n  MLFLOW_TRACKING_URI=http://tracker:5000 ksmith sync")
@click.option("--again", is_flag=True, help="Send everything once more, to another server say.")
@click.option("--study", help="With --again: of this study only.")
@json_option
@home_option
@with_lab
@click.pass_context
def sync(
    ctx: click.Context, lab: Lab, study: str | None, *, again: bool, as_json: bool
) -> None:
    """Send to MLflow what has not reached it yet.

    The exit code is 1 if something is left.
    """
    from ksmith.tracking import drain, resend, shown_uri, tracking_uri

    with lab.visit() as store:
        if again:
            resend(store, store.study(study).name if study else None)
        elif study:
            raise UserError("--study goes with --again")
        found = drain(store)
    where = shown_uri(tracking_uri(lab.home))
    if as_json:
        told = {"sent": found.sent, "left": found.left, "error": found.error}
        print_json({"to": where, **told})
    else:
        click.echo(f"{found.sent} sent to {where}, {found.left} left")
    if found.error and not as_json:
        note(found.error)
    ctx.exit(1 if found.left else 0)
