"""Settings of outgoing requests on a client's behalf."""

from typing import Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from codeforge.settings.values import CommaList, is_network, split_commas


class WebSettings(BaseSettings):
    """Outgoing requests on a client's behalf."""

    allow_private_hosts: CommaList = ()
    """Names, addresses and networks that may be fetched though they are private, comma-separated."""
    tavily_api_key: SecretStr | None = None
    """Tavily's key, for searches of analyses."""
    tavily_base_url: str = "https://api.tavily.com"
    """Where Tavily is asked."""
    exa_api_key: SecretStr | None = None
    """Exa's key, for searches of analyses."""
    exa_base_url: str = "https://api.exa.ai"
    """Where Exa is asked."""
    zenrows_api_key: SecretStr | None = None
    """ZenRows' key, for pages that need a browser."""
    zenrows_base_url: str = "https://api.zenrows.com"
    """Where ZenRows is asked."""
    zenrows_wait_ms: int = Field(default=2_000, ge=0, le=30_000)
    """For a page's scripts, after it loaded, in milliseconds."""
    zenrows_premium_proxy: bool = False
    """For every page; challenges are met with it anyway."""
    zenrows_proxy_country: str | None = Field(default=None, pattern=r"^[a-z]{2}$")
    """Two letters: the country that pages are rendered from."""
    zenrows_block_resources: str = Field(default="image,media,font", pattern=r"^[a-z,]*$")
    """What rendered pages do not load, comma-separated."""
    zenrows_concurrency: int = Field(default=5, ge=1, le=1_000)
    """Rendered pages at once, of a worker process: the plan's number, divided by those."""
    rendered_pages_per_task: int = Field(default=50, ge=0, le=10_000)
    """At most; 0 renders nothing."""
    user_agent: str | None = Field(default=None, max_length=200, pattern=r"^[A-Za-z_-]+(/[!-~]+)?( [ -~]*)?$")
    """What servers see. Its beginning, up to the first slash, is the name that robots.txt calls this service by."""
    robots_txt: bool = True
    """Whether sites' robots.txt is asked for and kept to."""
    robots_age_s: float = Field(default=3_600.0, ge=0, le=86_400)
    """How long a robots.txt is taken as it was, in seconds."""
    host_concurrency: int | None = Field(default=None, ge=0, le=1_000)
    """Requests to a host at once, of all workers; 0 is any number. Unset it is 8, but for loopback addresses."""
    host_rate: float = Field(default=0.0, ge=0, le=10_000)
    """Requests to a host a second, of all workers; 0 is no rate."""
    host_burst: int = Field(default=10, ge=1, le=10_000)
    """Of them the first, with no distance between them."""
    host_wait_s: float = Field(default=3_600.0, ge=0, le=3_600)
    """How long a page waits for its host's turn, in seconds."""
    page_cache_max_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """Of pages that tasks share, in Redis; 0 shares none."""
    page_cache_age_s: float = Field(default=2.0, ge=0, le=86_400)
    """A copy so young, in seconds, serves any task of its tenant without a request."""

    @field_validator("allow_private_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return split_commas(value)

    @field_validator("allow_private_hosts")
    @classmethod
    def _hosts_or_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, entry in enumerate(value, start=1):
            if "/" in entry and not is_network(entry):
                raise ValueError(f"entry {number} is no network")
        return value
