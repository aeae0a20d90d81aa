"""The ledger's sides."""

from collections.abc import Mapping

from codeforge.broker.message import ring_template
from codeforge.ledger.admission import Caps, TenantCaps
from codeforge.ledger.bells import Bell, Bells
from codeforge.ledger.connection import connect
from codeforge.ledger.rates import NoRates, Rates, RedisRates
from codeforge.ledger.redis import RedisLedger
from codeforge.ledger.retention import Retention
from codeforge.ledger.scripts import Replication
from codeforge.settings import EVERY_TENANT, Settings
from codeforge.task import TaskState
from codeforge.worker_types import Priority, WorkerType

BACKGROUND_CONNECTIONS = 8
RATE_CONNECTIONS = 32
BLOCKING_TIMEOUT_S = 15.0
REQUEST_S = 10.0
"""How long a client of the API waits for a server that stands still, as for the stores."""


def bells() -> Bells:
    """The broker's messages, as the ledger rings them."""
    return {
        (worker_type, priority): Bell(form.queue, form.template)
        for worker_type in WorkerType
        for priority in Priority
        for form in [ring_template(worker_type, priority)]
    }


def caps(settings: Settings) -> Caps:
    """What the deployment admits."""
    return Caps(
        settings.max_agents or 0, _tenant_caps(settings.tenant_max_running), _tenant_caps(settings.tenant_max_queued)
    )


def _tenant_caps(numbers: Mapping[str, int]) -> TenantCaps:
    named = {tenant: number for tenant, number in numbers.items() if tenant != EVERY_TENANT}
    return TenantCaps(numbers.get(EVERY_TENANT, 0), named)


def retention(settings: Settings) -> Retention:
    """How long ended tasks are kept."""
    own = {
        TaskState.SUCCEEDED: settings.retention_succeeded_s,
        TaskState.FAILED: settings.retention_failed_s,
        TaskState.CANCELLED: settings.retention_cancelled_s,
        TaskState.DEAD: settings.retention_dead_s,
    }
    return Retention(settings.retention_s, {state: seconds for state, seconds in own.items() if seconds is not None})


def rates(settings: Settings) -> Rates:
    """How fast tenants may submit."""
    if settings.rate_limit is None:
        return NoRates()
    redis = connect(settings.redis_address, max_connections=RATE_CONNECTIONS, within_s=REQUEST_S)
    return RedisRates(redis, settings.rate_limit)


def redis_ledger(
    settings: Settings, *, connections: int, blocking: int = 2, within_s: float | None = None
) -> RedisLedger:
    """The ledger as the API and the workers see it; `within_s` is for those who have somebody waiting."""
    address = settings.redis_address
    return RedisLedger(
        connect(address, max_connections=connections, within_s=within_s),
        connect(address, max_connections=blocking, timeout_s=BLOCKING_TIMEOUT_S),
        bells(),
        partitions=settings.outbox_partitions,
        lease_s=settings.lease_s,
        outbox_max_bytes=settings.outbox_max_bytes,
        caps=caps(settings),
        replication=Replication(settings.submit_replicas, settings.submit_wait_ms),
    )
