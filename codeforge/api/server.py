"""The API as a process."""

import uvicorn

from codeforge.api.app import create_app
from codeforge.ledger.headroom import require_noeviction
from codeforge.logs import configure_logs
from codeforge.settings import Settings
from codeforge.wiring.api import api_services
from codeforge.wiring.stores import check_embeddings

GRACEFUL_S = 5


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Open event streams are closed after a few seconds; clients resume them.

    Raises SettingsError.
    """
    check_embeddings(settings)  # before the server, which would report it with a traceback
    configure_logs(settings, "api")
    require_noeviction(settings.redis_address)
    app = create_app(settings, lambda: api_services(settings))
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACEFUL_S,
        server_header=False,
    )
    uvicorn.Server(config).run()
