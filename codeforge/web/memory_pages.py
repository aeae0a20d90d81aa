"""The page cache without a server, for unit tests. Leases do not end."""

import time
from dataclasses import dataclass, field


@dataclass
class _Kept:
    value: bytes
    at_ms: float
    until_ms: float
    fresh_until_ms: float


@dataclass
class MemoryPages:
    """`PageCache` in memory."""

    kept: dict[str, _Kept] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)

    async def open(
        self, page: str, holder: str, *, since_ms: int, age_ms: int, lease_ms: int
    ) -> tuple[str, bytes | None]:
        """See `PageCache.open`."""
        now, found = time.time() * 1_000, self.kept.get(page)
        if found is not None and found.until_ms <= now:
            found = None
        if found is not None and (found.at_ms >= since_ms or now - found.at_ms < age_ms or now < found.fresh_until_ms):
            return "kept", found.value
        if self.holders.setdefault(page, holder) != holder:
            return "wait", None
        return "fetch", None if found is None else found.value

    async def renew(self, page: str, holder: str, *, lease_ms: int) -> None:
        """See `PageCache.renew`."""

    async def keep(self, page: str, holder: str, value: bytes, *, keep_ms: int, fresh_ms: int) -> None:
        """See `PageCache.keep`."""
        if self.holders.get(page) == holder:
            del self.holders[page]
        if value:
            now = time.time() * 1_000
            self.kept[page] = _Kept(value, now, now + keep_ms, now + fresh_ms)

    async def close(self) -> None:
        """Nothing to close."""
