"""The `medray` command. A sub-command is loaded only when it is used, so `medray --help` needs neither torch nor ray.

An error of ours becomes one line on standard error and its exit code; anything else is a defect and shows a traceback.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import click

from medray import __version__
from medray.errors import MedrayError

# name -> ("module:function", one line for the overview)
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "ask": ("medray.cli.ask:ask", "Ask a running endpoint a question."),
    "cache": ("medray.cli.cache:cache", "Look into, check and calibrate the response cache."),
    "compare": ("medray.cli.compare:compare", "Say which answers flipped between two models."),
    "doctor": ("medray.cli.doctor:doctor", "Say what this machine can run, and why not."),
    "models": ("medray.cli.models:models", "Pull and list the pinned small models."),
    "serve": ("medray.cli.serve:serve", "Serve a model you have, in both modes."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported by name when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names without importing anything."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, so that help stays fast."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; our own errors end it with one line."""
        try:
            return super().invoke(ctx)
        except MedrayError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="medray")
def main() -> None:
    """Distil, compress and serve medical language models on Ray. For research: not a medical device."""
