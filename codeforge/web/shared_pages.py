"""Pages that were fetched once and serve many tasks: of one tenant, over all processes.

A task never gets a page from before its own submission, unless the page is at most `age_s` old or its server said for
how long it stays fresh (RFC 9111, 4.2). An older copy is only asked for again, with what its server gave to ask by.
"""

import asyncio
import hashlib
import random
import secrets
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import orjson
from pydantic import ValidationError

from codeforge.agent import FetchTerms
from codeforge.errors import FetchError, LedgerUnavailable
from codeforge.logs import logger
from codeforge.results import Page, ResultModel
from codeforge.urls import canonical_url
from codeforge.web.deadlines import left_s
from codeforge.web.validators import Validators

log = logger(__name__)

MAX_VALUE_BYTES = 16 * 1024 * 1024
_LEVEL = 1
_OWN = frozenset({"render_limit", "render_not_configured", "host_busy"})
_POLL_S, _LONGEST_POLL_S = 0.03, 0.5


class PageCache(Protocol):
    """Port: values that all processes share, and the right to make one anew."""

    async def open(
        self, page: str, holder: str, *, since_ms: int, age_ms: int, lease_ms: int
    ) -> tuple[str, bytes | None]:
        """`("kept", value)` for a value made since `since_ms` (the server's clock, since the epoch), less than `age_ms`
        ago, or still fresh by itself; `("fetch", older value or None)` for the holder that is to make it, within
        `lease_ms`; `("wait", None)` for the others. Raises LedgerUnavailable."""
        ...

    async def renew(self, page: str, holder: str, *, lease_ms: int) -> None:
        """Renews the holder's right, if it has it still. Raises LedgerUnavailable."""
        ...

    async def keep(self, page: str, holder: str, value: bytes, *, keep_ms: int, fresh_ms: int) -> None:
        """Keeps the value, which is fresh by itself for `fresh_ms`, and ends the holder's right; no value only does the
        latter. Raises LedgerUnavailable."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


@dataclass(frozen=True, slots=True)
class SharingLimits:
    """Times in seconds. A page is shared for `age_s`, and kept for `keep_s` to be asked for again; failures that no try
    can help for `failure_s`, others for `trouble_s`. Who fetches a page and says nothing of it for `lease_s` is taken
    for dead; who is at it says so."""

    age_s: float = 2.0
    keep_s: float = 86_400.0
    failure_s: float = 60.0
    trouble_s: float = 2.0
    lease_s: float = 30.0


class KeptFailure(ResultModel):
    """A FetchError that is shared."""

    code: str
    message: str
    retryable: bool


class KeptPage(ResultModel):
    """What came of a fetch. Only a page has `validators` to ask for it again."""

    page: Page | None = None
    failure: KeptFailure | None = None
    validators: Validators = Validators()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page, how to ask for it again, for how many seconds its server calls it fresh, and whether it may be kept."""

    page: Page
    validators: Validators = field(default_factory=Validators)
    fresh_s: float = 0.0
    keep: bool = True


Fetch = Callable[[KeptPage | None], Awaitable[Fetched]]
"""Fetches a page; given an older copy, it may give that back."""


class Sharing(Protocol):
    """Port: fetches pages, or finds that another did."""

    async def page(self, url: str, mode: str, terms: FetchTerms, fetch: Fetch) -> Page:
        """Raises FetchError."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class NoSharing:
    """Every task fetches for itself."""

    async def page(self, url: str, mode: str, terms: FetchTerms, fetch: Fetch) -> Page:
        """See `Sharing.page`."""
        return (await fetch(None)).page

    async def close(self) -> None:
        """Nothing to close."""


class SharedPages:
    """`Sharing` through the cache that it owns. Without the cache's server every task fetches for itself."""

    def __init__(self, cache: PageCache, limits: SharingLimits | None = None) -> None:
        self._cache = cache
        self._limits = limits or SharingLimits()
        self._asking: dict[str, _Queue] = {}

    async def page(self, url: str, mode: str, terms: FetchTerms, fetch: Fetch) -> Page:
        """See `Sharing.page`. A page that another task had is given under this task's URL, at no cost."""
        key = page_key(terms.tenant, mode, url)
        async with self._in_turn(key):
            return await self._page(key, url, terms, fetch)

    async def close(self) -> None:
        """See `Sharing.close`."""
        await self._cache.close()

    async def _page(self, key: str, url: str, terms: FetchTerms, fetch: Fetch) -> Page:
        holder = terms.task or secrets.token_hex(8)
        try:
            found, value = await self._opened(key, holder, terms)
        except LedgerUnavailable as error:
            log.warning("page_cache_unavailable", code=error.code)
            return (await fetch(None)).page
        older = _decoded(value)
        if found == "kept" and older is not None:
            return _given(older, url)
        return await self._fetched(key, holder, terms, older, fetch)

    async def _opened(self, key: str, holder: str, terms: FetchTerms) -> tuple[str, bytes | None]:
        limits, poll_s = self._limits, _POLL_S
        while True:
            found, value = await self._cache.open(
                key,
                holder,
                since_ms=terms.since_ms,
                age_ms=int(1_000 * limits.age_s),
                lease_ms=int(1_000 * limits.lease_s),
            )
            if found != "wait":
                return found, value
            await asyncio.sleep(poll_s * random.uniform(0.7, 1.3))  # noqa: S311  # no secret
            poll_s = min(2 * poll_s, _LONGEST_POLL_S)

    async def _fetched(self, key: str, holder: str, terms: FetchTerms, older: KeptPage | None, fetch: Fetch) -> Page:
        limits = self._limits
        at_it = asyncio.create_task(self._at_it(key, holder))
        try:
            got = await fetch(older if older is not None and older.page is not None else None)
        except FetchError as error:
            failure = KeptFailure(code=error.code, message=error.message, retryable=error.retryable)
            keep_s = 0.0 if _is_the_tasks(error, terms) else limits.trouble_s if error.retryable else limits.failure_s
            await self._keep(key, holder, KeptPage(failure=failure) if keep_s else None, keep_s, 0.0)
            raise
        except BaseException:
            await self._keep(key, holder, None, 0.0, 0.0)
            raise
        finally:
            at_it.cancel()
        kept = KeptPage(page=got.page, validators=got.validators) if got.keep else None
        await self._keep(key, holder, kept, limits.keep_s, min(got.fresh_s, limits.keep_s))
        return got.page

    async def _at_it(self, key: str, holder: str) -> None:
        """Renews the holder's lease, while the page waits for its host or is under way."""
        while True:
            await asyncio.sleep(self._limits.lease_s / 3)
            try:
                await self._cache.renew(key, holder, lease_ms=int(1_000 * self._limits.lease_s))
            except LedgerUnavailable as error:
                log.warning("page_lease_not_renewed", code=error.code)

    async def _keep(self, key: str, holder: str, kept: KeptPage | None, keep_s: float, fresh_s: float) -> None:
        """Others wait for it, so a cancellation does not end it; the cache's own time limit bounds it."""
        await asyncio.shield(self._told(key, holder, kept, keep_s, fresh_s))

    async def _told(self, key: str, holder: str, kept: KeptPage | None, keep_s: float, fresh_s: float) -> None:
        value = b"" if kept is None else zlib.compress(kept.model_dump_json().encode(), _LEVEL)
        try:
            await self._cache.keep(key, holder, value, keep_ms=int(1_000 * keep_s), fresh_ms=int(1_000 * fresh_s))
        except LedgerUnavailable as error:
            log.warning("page_not_kept", code=error.code)

    @asynccontextmanager
    async def _in_turn(self, key: str) -> AsyncIterator[None]:
        """One of this process asks for a page at a time; the next ones find it kept."""
        queue = self._asking.setdefault(key, _Queue())
        queue.members += 1
        try:
            async with queue.turn:
                yield
        finally:
            queue.members -= 1
            if not queue.members:
                self._asking.pop(key, None)


@dataclass
class _Queue:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    members: int = 0


def _is_the_tasks(error: FetchError, terms: FetchTerms) -> bool:
    """Whether the task's own limits are why: its time, or how many pages it may have rendered, be it to pass a
    challenge. That says nothing of the page, which another task may well have."""
    behind = error.__cause__
    no_rendering_left = isinstance(behind, FetchError) and behind.code == "render_limit"
    return error.code in _OWN or no_rendering_left or left_s(terms.deadline) == 0.0


def page_key(tenant: str, mode: str, url: str) -> str:
    """Names a page of a tenant. What another version of this service kept in another form has another name."""
    text = "\n".join((tenant, mode, canonical_url(url), _form()))
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _form() -> str:
    return hashlib.sha256(orjson.dumps(KeptPage.model_json_schema(), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _decoded(value: bytes | None) -> KeptPage | None:
    if value is None:
        return None
    try:
        text = zlib.decompressobj().decompress(value, MAX_VALUE_BYTES)
        return KeptPage.model_validate_json(text)
    except (zlib.error, ValidationError):
        return None


def _given(kept: KeptPage, url: str) -> Page:
    if kept.failure is not None:
        failure = kept.failure
        raise FetchError(failure.message, code=failure.code, url=url, retryable=failure.retryable)
    if kept.page is None:
        raise FetchError("the page was kept without its text", code="bad_response", url=url, retryable=True)
    return kept.page.model_copy(update={"url": url, "cost": 0.0})
