"""Celery's consumer without the talk between workers."""

from collections.abc import Mapping
from typing import Any

from celery.worker.consumer import Consumer


class QuietConsumer(Consumer):  # type: ignore[misc]  # celery ships no types
    """No gossip and no mingle: workers share nothing but the ledger, and with hundreds of them each would hear every
    other one's events and wait for all at its start. Celery has command line flags for both, but no settings."""

    def __init__(self, *args: Any, worker_options: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        options = {**(worker_options or {}), "without_gossip": True, "without_mingle": True}
        super().__init__(*args, worker_options=options, **kwargs)
