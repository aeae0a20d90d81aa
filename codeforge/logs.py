"""Structured logs on standard error, one event a line.

Callers never log payloads, prompts, URLs with keys or secrets."""

import logging
import sys

import structlog

from codeforge.settings import Settings

Logger = structlog.stdlib.BoundLogger


def configure_logs(settings: Settings, process: str) -> None:
    """Sets up the process's logs; the standard library's records take the same way out."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if settings.log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    # httpx logs every URL at info; a URL may carry what a client would not want in logs.
    for noisy in ("httpx", "httpcore", "neo4j.notifications"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def logger(name: str) -> Logger:
    """The logger of a module."""
    found: Logger = structlog.stdlib.get_logger(name)
    return found
