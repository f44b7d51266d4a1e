"""`ksmith completion`: what a shell needs to complete verbs, options and names."""

import click

from ksmith.records import UserError

HELP = """
\b
Example:
  ksmith completion bash >> ~/.bashrc
  ksmith completion zsh >> ~/.zshrc
  ksmith completion fish > ~/.config/fish/completions/ksmith.fish
"""


@click.command(epilog=HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete verbs with TAB."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise UserError(f"no completion for {shell}")
    click.echo(found(ctx.find_root().command, {}, "ksmith", "_KSMITH_COMPLETE").source())
