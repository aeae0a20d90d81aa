"""`codeforge up`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from codeforge.errors import SettingsError
from codeforge.local.options import UpOptions
from codeforge.local.ports import PORT_OPTIONS

MAX_PORT = 65_535


def _port_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for port in reversed(PORT_OPTIONS.values()):
        function = click.option(
            port.option,
            f"{port.name}_port",
            type=click.IntRange(0, MAX_PORT),
            help=f"{port.help} 0 takes a free one.  [default: {port.default}]",
        )(function)
    return function


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".codeforge"),
    show_default=True,
    help="Where everything is kept: engines' data, logs, generated passwords.",
)
@_port_options
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write addresses, passwords and process ids here, as JSON, once all is ready and after each restart.",
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a setting for all parts. Repeatable.")
@click.option(
    "--workers",
    type=click.Choice(["each", "general"]),
    default="general",
    show_default=True,
    help="A worker process for each worker type, or one for all types.",
)
@click.option(
    "--llm",
    type=click.Choice(["none", "local"]),
    default="none",
    show_default=True,
    help="local: serve a small model on this machine's CPU, for the types that need one.",
)
def up(
    data_dir: Path,
    ready_file: Path | None,
    settings: tuple[str, ...],
    workers: Literal["each", "general"],
    llm: Literal["none", "local"],
    **ports: int | None,
) -> None:
    """Run the whole stack on this machine, with embedded engines.

    Starts Valkey, the graph, the vector store, the API, the projector, the reaper, Flower and the workers, and prints
    their addresses. What dies is started again. Ctrl-C stops all of it, in order, within ten seconds; the data stays
    in the data directory for the next time.
    """
    from codeforge.local.up import run_stack

    chosen = {name.removesuffix("_port"): port for name, port in ports.items() if port is not None}
    run_stack(UpOptions(data_dir, chosen, ready_file, _pairs(settings), workers, llm), _say)


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--set {name}: expected NAME=VALUE")
        pairs[name.strip().lower().removeprefix("codeforge_")] = value
    return pairs


def _say(line: str) -> None:
    """Prints a line of progress. A reader that has gone does not stop the stack."""
    try:
        click.echo(line)
    except BrokenPipeError:
        return
