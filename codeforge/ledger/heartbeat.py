"""Keeps a worker process's lease from a thread and a connection of its own, so that a busy loop cannot miss a beat."""

import threading
from collections.abc import Callable, Sequence

import redis

from codeforge.ledger.connection import connect_sync
from codeforge.ledger.lease import Lease
from codeforge.ledger.port import WorkerRecord
from codeforge.ledger.rows import worker_text
from codeforge.ledger.scripts import script_text
from codeforge.logs import logger

log = logger(__name__)

LONGEST_PAUSE_S = 1.0
"""A cancelled task is heard of with a beat, and must stop within two seconds."""


class LeaseKeeper:
    """Renews one lease: one command a beat, however many tasks run, and notes each renewal in `lease`.

    `on_cancelled` gets cancelled attempts (`Claim.attempt`), and `on_death` is called when the thread dies; both are
    called in the keeper's thread.
    """

    def __init__(
        self,
        address: str,
        worker: WorkerRecord,
        *,
        lease_s: float,
        lease: Lease,
        on_cancelled: Callable[[Sequence[str]], None],
        on_death: Callable[[], None],
    ) -> None:
        self._worker = worker
        self._lease = lease
        self._lease_ms = int(lease_s * 1000)
        self._pause_s = min(LONGEST_PAUSE_S, lease_s / 5)
        self._on_cancelled = on_cancelled
        self._on_death = on_death
        self._heard: list[str] = []
        self._stopping = threading.Event()
        self._redis = connect_sync(address, timeout_s=lease_s / 3)
        self._renew = self._redis.register_script(script_text("renew_lease"))
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops beating; the lease itself is ended by `Ledger.end_lease`."""
        self._stopping.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=self._lease_ms / 1000)

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._pause_s):
                self._beat()
        except BaseException:
            log.exception("lease_keeper_died")
            self._on_death()
            raise
        finally:
            self._redis.close()

    def _beat(self) -> None:
        sent_at = self._lease.now()
        try:
            cancelled = self._renew(args=[self._worker.id, self._lease_ms, worker_text(self._worker), *self._heard])
        except (redis.RedisError, OSError) as error:
            log.warning("lease_not_renewed", error=type(error).__name__)
            return
        self._lease.renewed(sent_at)
        self._heard = [attempt.decode() for attempt in cancelled]
        if self._heard:
            self._on_cancelled(self._heard)
