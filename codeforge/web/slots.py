"""A process's own limit on pages under way, and so on the memory that their bodies take."""

import asyncio
from types import TracebackType
from typing import Self

from codeforge.errors import FetchError


class PageSlot:
    """One page's part of the limit. It may be taken and released many times; leaving the context releases it. All waits
    for it together take `wait_s` seconds at most."""

    def __init__(self, slots: asyncio.Semaphore, url: str, wait_s: float) -> None:
        self._slots = slots
        self._url = url
        self._left_s = wait_s
        self._held = False

    async def taken_within(self, limit_s: float) -> bool:
        """Takes it, unless it is held already; False when that took so long. Raises FetchError `timeout`."""
        if self._held:
            return True
        limit_s = min(limit_s, self._left_s)
        try:
            async with asyncio.timeout(limit_s):
                await self._slots.acquire()
        except TimeoutError:
            self._left_s -= limit_s
            if self._left_s > 0:
                return False
            message = "too many other pages are under way"
            raise FetchError(message, code="timeout", url=self._url, retryable=True) from None
        self._held = True
        return True

    def release(self) -> None:
        """Gives it back, if it is held."""
        if self._held:
            self._held = False
            self._slots.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
