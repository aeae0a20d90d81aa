"""The commands that run one long-lived process each."""

import click

from codeforge.settings import load_settings


@click.command()
def api() -> None:
    """Serve the HTTP API until SIGTERM.

    Listens on API_HOST:API_PORT (127.0.0.1:8080). With no API_KEYS set, any address but a loopback one is refused.
    """
    from codeforge.api.server import serve

    serve(load_settings())


@click.command()
def projector() -> None:
    """Move results from the outbox into the graph and the vector store, until SIGTERM.

    Several projectors share the outbox's partitions; each result is written by one of them.
    """
    from codeforge.processes.projector import serve

    serve(load_settings())


@click.command()
def reaper() -> None:
    """Take back what crashed workers held, ring again for waiting tasks, promote delayed ones, until SIGTERM.

    Of several reapers one is active; another takes over within seconds when it goes. With MARK_BUSY_PODS, on
    Kubernetes, it marks pods that work while a scale-in is near, so that idle ones go first.
    """
    from codeforge.processes.reaper import serve

    serve(load_settings())


@click.command()
def flower() -> None:
    """Serve Flower until SIGTERM, behind FLOWER_BASIC_AUTH (user:password).

    Listens on FLOWER_HOST:FLOWER_PORT (127.0.0.1:5555).
    """
    from codeforge.processes.flower import serve

    serve(load_settings())
