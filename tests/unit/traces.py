"""Traces that are on for a while, and where they go."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from codeforge import tracing
from codeforge.settings import load_settings
from tests.patience import PATIENCE_S
from tests.servers.otlp import OtlpServer, ReceivedSpan

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID, SPAN_ID = PARENT[3:35], PARENT[36:52]


@contextmanager
def traced(**settings: str) -> Iterator[OtlpServer]:
    """This process's spans go to a collector."""
    with OtlpServer() as collector, patch("codeforge.tracing.otlp.CLOSE_S", PATIENCE_S):
        tracing.configure_tracing(load_settings({"OTLP_ENDPOINT": collector.url, **settings}), "test")
        try:
            yield collector
        finally:
            tracing.end_tracing()


def sent(collector: OtlpServer) -> dict[str, ReceivedSpan]:
    """All spans by their names. There are no more after this."""
    tracing.end_tracing()
    return {span.name: span for span in collector.spans}
