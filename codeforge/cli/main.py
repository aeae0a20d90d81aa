"""The `codeforge` command.

Each command imports what it runs only when it runs: `codeforge version` needs no engine, and no process carries the
modules of another.
"""

import sys
from typing import Any

import click

from codeforge import __version__
from codeforge.cli.capacity import capacity
from codeforge.cli.outbox import outbox
from codeforge.cli.rebuild import rebuild
from codeforge.cli.services import api, flower, projector, reaper
from codeforge.cli.up import up
from codeforge.errors import CodeForgeError, SettingsError

EXIT_FAILED = 1
EXIT_SETTINGS = 2


class Commands(click.Group):
    """The group: turns this project's errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command. Exit code 2 for wrong settings, 1 for any other error of the project."""
        try:
            return super().invoke(ctx)
        except CodeForgeError as error:
            click.echo(f"codeforge: {error.message}", err=True)
            sys.exit(EXIT_SETTINGS if isinstance(error, SettingsError) else EXIT_FAILED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="codeforge %(version)s")
def main() -> None:
    """Runs AI-agent tasks at scale: no task lost, no model call paid for twice.

    Settings come from the environment (CODEFORGE_<NAME>); `codeforge doctor` checks them.
    """


@main.command()
def doctor() -> None:
    """Check every engine and key that the settings name.

    Prints one line each (ok, warning or error) and exits with 1 when there is an error. Of a running `codeforge up` it
    knows nothing: give it the addresses in its --ready-file as CODEFORGE_REDIS_URL and so on.
    """
    from codeforge.cli.doctor import examine

    sys.exit(EXIT_FAILED if examine(click.echo) else 0)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"codeforge {__version__}")


for command in (up, api, projector, reaper, flower, outbox, rebuild, capacity):
    main.add_command(command)
