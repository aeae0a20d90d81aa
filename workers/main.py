"""Celery's entry point: `celery -A workers.main worker`. The process serves what `CODEFORGE_WORKER_TYPE` names."""

import sys
from functools import partial

from codeforge.broker.app import App, make_app, use_logging
from codeforge.broker.runtime import TaskRuntime
from codeforge.broker.tasks import register
from codeforge.errors import SettingsError
from codeforge.garbage import collect_seldom
from codeforge.logs import configure_logs
from codeforge.settings import Settings, load_settings
from codeforge.tracing import configure_tracing
from codeforge.wiring.worker import worker_runtime
from codeforge.worker_types import served_types
from workers.agents import agents_for
from workers.suspects import COMMAND as SUSPECTS_COMMAND


def make_worker_app(settings: Settings) -> App:
    """The application of one worker process. Agents and clients are made when the pool starts."""
    served = served_types(settings.worker_type)
    use_logging(partial(configure_logs, settings, "worker"))
    app = make_app(settings, served)
    register(app, served, partial(_runtime, settings), drain_s=settings.drain_s)
    return app


def _runtime(settings: Settings) -> TaskRuntime:
    configure_tracing(settings, "worker")
    runtime = worker_runtime(settings, agents_for(served_types(settings.worker_type)), SUSPECTS_COMMAND)
    collect_seldom()
    return runtime


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None


app = make_worker_app(_settings())  # the command line finds it by this name
