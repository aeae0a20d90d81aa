"""What marks busy pods, where that is wanted."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from codeforge.errors import SettingsError
from codeforge.kubernetes.api_server import ApiServerPods
from codeforge.ledger.connection import connect
from codeforge.ledger.fleet import RedisFleetLedger
from codeforge.scaling.busy_pods import BusyPods
from codeforge.settings import PREFIX, Settings

CONNECTIONS = 2


@asynccontextmanager
async def busy_pods(
    settings: Settings, leads: Callable[[], bool]
) -> AsyncIterator[Sequence[Callable[[], Coroutine[Any, Any, None]]]]:
    """The loop to run beside the reaper, or none. Raises SettingsError where there is no ServiceAccount to ask with."""
    if not settings.mark_busy_pods:
        yield ()
        return
    try:
        pods = ApiServerPods(settings.kubernetes_api_url, settings.kubernetes_account_dir)
    except OSError as error:
        where = settings.kubernetes_account_dir
        raise SettingsError(f"{PREFIX}MARK_BUSY_PODS: no ServiceAccount in {where}: {error.strerror}") from error
    redis = connect(settings.redis_address, max_connections=CONNECTIONS)
    ledger = RedisFleetLedger(redis, partitions=settings.outbox_partitions)
    try:
        yield (BusyPods(ledger, pods, leads, max_agents=settings.max_agents or 0).run,)
    finally:
        await pods.close()
        await redis.aclose(close_connection_pool=True)
