"""The API as a process."""

import asyncio
import signal
from types import FrameType

import uvicorn
import uvloop

from codeforge.api.app import create_app
from codeforge.api.connection_limit import LimitedState, connection_limit
from codeforge.api.connections import BoundedConnection, look_at
from codeforge.garbage import collect_seldom
from codeforge.ledger.headroom import require_noeviction
from codeforge.logs import configure_logs
from codeforge.settings import Settings, require_port
from codeforge.tracing import configure_tracing, end_tracing
from codeforge.wiring.api import api_services
from codeforge.wiring.embeddings import check_embeddings

GRACEFUL_S = 5

LOOK_TICKS = 50
"""Connections are looked at every so many tenths of a second."""


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Open event streams are closed after a few seconds; clients resume them.

    Raises SettingsError.
    """
    check_embeddings(settings)  # before the server, which would report it with a traceback
    require_port("API_PORT", settings.api_host, settings.api_port)
    configure_logs(settings, "api")
    configure_tracing(settings, "api")
    require_noeviction(settings.redis_address)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings))
    finally:
        end_tracing()


async def _serve(settings: Settings) -> None:
    services = await api_services(settings)  # before the server, which would report a wrong setting with a traceback
    config = uvicorn.Config(
        create_app(settings, services),
        host=settings.api_host,
        port=settings.api_port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACEFUL_S,
        server_header=False,
        http=BoundedConnection,
        ws="none",
        proxy_headers=False,  # nothing here asks for the client's address or scheme
    )
    collect_seldom()  # a full look takes tens of milliseconds in which no request is served
    await Server(config, connection_limit()).serve()


class Server(uvicorn.Server):
    """Looks at its connections now and then, and bounds their number. Uvicorn's own raises the signal again once it has
    stopped, which ends the process before its last traces are sent, and with that signal for an exit code."""

    def __init__(self, config: uvicorn.Config, connections: int) -> None:
        """At most so many `connections`."""
        super().__init__(config)
        self.server_state = LimitedState(connections)

    async def on_tick(self, counter: int) -> bool:
        """What is done ten times a second."""
        if counter % LOOK_TICKS == 0:
            look_at(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops; at a second Ctrl-C without waiting for open requests."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
