"""What fetches pages."""

from codeforge.settings import WebSettings
from codeforge.web.fetcher import FetchLimits, GuardedFetcher
from codeforge.web.guard import AddressGuard
from codeforge.web.rendering import Renderer
from codeforge.web.zenrows import RenderLimits, RenderOptions, ZenRows


def page_fetcher(settings: WebSettings) -> GuardedFetcher:
    """The fetcher of a worker process."""
    return GuardedFetcher(
        AddressGuard(settings.allow_private_hosts),
        limits=FetchLimits(renders_per_task=settings.rendered_pages_per_task),
        renderer=renderer(settings),
    )


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
