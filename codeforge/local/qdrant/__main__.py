"""The embedded server's process: `python -m codeforge.local.qdrant --host 127.0.0.1 --port N --path DIR`."""

import argparse
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from codeforge.errors import StackError
from codeforge.garbage import collect_seldom
from codeforge.local.qdrant.app import create_app
from codeforge.local.qdrant.catalog import Catalog
from codeforge.settings import is_loopback

KEEP_ALIVE_S = 30
"""Longer than any client of ours keeps an idle connection, so that none sends into one that is being closed."""

STOP_S = 1
"""What requests under way get to finish in after SIGTERM, in seconds."""


def main() -> int:
    """Serves until SIGTERM or SIGINT. Exit code 1, with one line on standard error, when it cannot."""
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        with _listener(arguments.host, arguments.port) as listener, Catalog(arguments.path) as catalog:
            address = f"http://{arguments.host}:{listener.getsockname()[1]}"
            _serve(catalog, listener, f"serving {arguments.path} on {address}")
    except StackError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="codeforge.local.qdrant", description="The embedded Qdrant server.")
    parser.add_argument("--host", default="127.0.0.1", help="the loopback address to listen on")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one and tells it")
    parser.add_argument("--path", type=Path, required=True, help="where the collections are kept")
    return parser.parse_args()


def _listener(host: str, port: int) -> socket.socket:
    """A bound socket. Raises StackError when the port cannot be had or the address is not a loopback one."""
    if not is_loopback(host):
        # It asks for no key: whoever reaches it may read and write every tenant's points.
        raise StackError(f"host {host} is not a loopback address, the only kind that the embedded Qdrant serves")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()  # on Linux two sockets with SO_REUSEADDR may bind one port until one of them listens
    except (OSError, OverflowError) as error:
        listener.close()
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise StackError(f"port {port} on {host} cannot be used: {reason}", code="port_in_use") from error
    return listener


def _serve(catalog: Catalog, listener: socket.socket, greeting: str) -> None:
    config = uvicorn.Config(
        create_app(catalog),
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
    )
    server = uvicorn.Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server has handlers of its own while it runs. These are for the moment before, and for the signal that it
        # raises again when it has stopped: it is no reason to end by a signal then.
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    collect_seldom()
    sys.stderr.write(f"{greeting}\n")
    server.run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
