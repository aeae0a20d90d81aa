"""What fetches pages."""

from dataclasses import replace

from codeforge.ledger.connection import connect
from codeforge.ledger.web_sharing import RedisHosts, RedisPages
from codeforge.settings import Settings, WebSettings
from codeforge.web.fetcher import USER_AGENT, FetchLimits, GuardedFetcher
from codeforge.web.guard import AddressGuard
from codeforge.web.hosts import HostLimits, HostVisits
from codeforge.web.rendering import Renderer
from codeforge.web.shared_pages import NoSharing, SharedPages, Sharing, SharingLimits
from codeforge.web.zenrows import RenderLimits, RenderOptions, ZenRows

CONNECTIONS = 8


def page_fetcher(settings: Settings) -> GuardedFetcher:
    """The fetcher of a worker process."""
    return GuardedFetcher(
        AddressGuard(settings.allow_private_hosts),
        limits=FetchLimits(renders_per_task=settings.rendered_pages_per_task),
        user_agent=settings.user_agent or USER_AGENT,
        renderer=renderer(settings),
        visits=host_visits(settings),
        robots_age_s=settings.robots_age_s if settings.robots_txt else None,
        sharing=page_sharing(settings),
    )


def host_visits(settings: Settings) -> HostVisits:
    """Hosts' turns, which all workers share. Without limits of its own a deployment still keeps pauses and delays."""
    limits = HostLimits(rate=settings.host_rate, burst=settings.host_burst, wait_s=settings.host_wait_s, at_once_here=0)
    if settings.host_concurrency is not None:
        limits = replace(limits, at_once=settings.host_concurrency, at_once_here=None)
    return HostVisits(RedisHosts(connect(settings.redis_address, max_connections=CONNECTIONS)), limits)


def page_sharing(settings: Settings) -> Sharing:
    """Pages, which all workers share."""
    if not settings.page_cache_max_bytes:
        return NoSharing()
    redis = connect(settings.redis_address, max_connections=CONNECTIONS)
    return SharedPages(RedisPages(redis, settings.page_cache_max_bytes), SharingLimits(age_s=settings.page_cache_age_s))


def renderer(settings: WebSettings) -> Renderer | None:
    """ZenRows, where it has a key."""
    if settings.zenrows_api_key is None:
        return None
    options = RenderOptions(
        wait_ms=settings.zenrows_wait_ms,
        premium_proxy=settings.zenrows_premium_proxy,
        proxy_country=settings.zenrows_proxy_country,
        block=settings.zenrows_block_resources,
    )
    limits = RenderLimits(at_once=settings.zenrows_concurrency)
    return ZenRows(settings.zenrows_base_url, settings.zenrows_api_key, options, limits)
