"""The verbs: parse, call, print.

Everything but click is imported inside a verb, so that `ksmith --help` is there at once and
loads none of torch, transformers, mlflow, polars, sqlmodel.
"""

import click

from ksmith import __version__
from ksmith.cli import (
    completion,
    db,
    doctor,
    graph,
    look,
    questions,
    run,
    status,
    study,
    trial,
)
from ksmith.cli.shell import Lab, Verbs, home_option

EXAMPLE = """
\b
Examples:
  ksmith run studies/plasticity.toml       create the study and run what is pending
  ksmith status                            how far everything is
  ksmith report plasticity --open          figures and tables, in a browser
  ksmith ui                                MLflow's pages on the lab's runs
  ksmith completion bash >> ~/.bashrc      complete verbs with TAB

\b
Environment:
  KSMITH_HOME          the lab's folder where --home is not given
  KSMITH_DATABASE      URL of a PostgreSQL database, instead of the file in the home
  MLFLOW_TRACKING_URI  another MLflow than the one in the home
"""


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Verbs, epilog=EXAMPLE, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="ksmith")
@home_option
@click.pass_context
def ksmith(ctx: click.Context) -> None:
    """Studies of knowledge editing and unlearning: a TOML file in, comparable trials out."""
    if not isinstance(ctx.obj, Lab):  # --home has not made one
        ctx.obj = Lab.from_environment()


for verb in (
    study.study,
    run.run,
    status.status,
    trial.trial,
    trial.verify,
    trial.checkout,
    look.report,
    look.ui,
    look.sync,
    graph.graph,
    db.db,
    doctor.doctor,
    completion.completion,
):
    ksmith.add_command(verb)
graph.graph.add_command(questions.questions)


def main() -> None:
    """Run the verb that the command line names, and exit."""
    ksmith(prog_name="ksmith")
