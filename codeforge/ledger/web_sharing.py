"""What the worker processes of a deployment share of the web: places at hosts, and pages. Structural types: the ports
are `codeforge.web.hosts.HostGate` and `codeforge.web.shared_pages.PageCache`."""

from redis.asyncio import Redis

from codeforge.ledger.scripts import Scripts

IN_FLIGHT = 1
"""Round trips at a time. Pages take hundreds of milliseconds: what comes up during one shares the next, which costs the
worker less."""


class RedisHosts:
    """`HostGate` on one Redis, by its clock: one round trip to enter, one to leave. A place that nobody gives back is
    free after its lease."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis, in_flight=IN_FLIGHT)

    async def enter(self, host: str, visit: str, *, most: int, every_ms: int, burst: int, lease_ms: int) -> int:
        """See `HostGate.enter`."""
        wait_ms: int = await self._scripts.run("enter_host", [host, visit, most, every_ms, burst, lease_ms])
        return wait_ms

    async def leave(self, host: str, visit: str, *, asked_ms: int, first_ms: int, longest_ms: int) -> int:
        """See `HostGate.leave`."""
        pause_ms: int = await self._scripts.run("leave_host", [host, visit, asked_ms, first_ms, longest_ms])
        return pause_ms

    async def close(self) -> None:
        """Closes its connections."""
        await self._redis.aclose(close_connection_pool=True)


class RedisPages:
    """`PageCache` on one Redis: at most `max_bytes` of values, of which one may have an eighth."""

    def __init__(self, redis: Redis, max_bytes: int) -> None:
        self._redis = redis
        self._scripts = Scripts(redis, in_flight=IN_FLIGHT)
        self._max_bytes = max_bytes

    async def open(
        self, page: str, holder: str, *, since_ms: int, age_ms: int, lease_ms: int
    ) -> tuple[str, bytes | None]:
        """See `PageCache.open`."""
        answer = await self._scripts.run("open_page", [page, holder, since_ms, age_ms, lease_ms])
        return answer[0].decode(), answer[1] if len(answer) > 1 else None

    async def renew(self, page: str, holder: str, *, lease_ms: int) -> None:
        """See `PageCache.renew`."""
        await self._scripts.run("renew_page", [page, holder, lease_ms])

    async def keep(self, page: str, holder: str, value: bytes, *, keep_ms: int, fresh_ms: int) -> None:
        """See `PageCache.keep`."""
        await self._scripts.run("keep_page", [page, holder, value, keep_ms, fresh_ms, self._max_bytes])

    async def close(self) -> None:
        """Closes its connections."""
        await self._redis.aclose(close_connection_pool=True)
