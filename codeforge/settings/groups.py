"""The settings, grouped by what they are for."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from codeforge.sentinel import (
    DEFAULT_MASTER,
    SentinelAddress,
    is_sentinel,
    sentinel_host,
    with_sentinel_password,
)
from codeforge.settings.admission import KeySettings
from codeforge.settings.values import host, is_loopback, is_network, split_commas
from codeforge.worker_types import GENERAL, WorkerType

OPENROUTER_BASE_URL = "https://openrouter.ai/api/v1"
OPENROUTER_DEFAULT_MODEL = "openai/gpt-4o-mini"

CommaList = Annotated[tuple[str, ...], NoDecode]
Host = Annotated[str, AfterValidator(host)]


class LedgerSettings(BaseSettings):
    """Redis or Valkey: the broker and the ledger."""

    redis_url: SecretStr | None = None
    redis_host: Host | None = None
    redis_port: int = Field(default=6379, ge=1, le=65_535)
    redis_sentinels: CommaList = ()  # host:port of each; they win over `redis_host`
    redis_master_name: str = Field(default=DEFAULT_MASTER, min_length=1)
    redis_user: str | None = None  # this and the password are for the two ways above; a `redis_url` holds its own
    redis_password: SecretStr | None = None
    redis_sentinel_password: SecretStr | None = None  # the Sentinels' own
    redis_tls: bool = False  # of the data servers and the Sentinels; a `redis_url` says it itself
    redis_ca_file: str | None = None  # trusted instead of the system's certificates
    redis_appendfsync: Literal["everysec", "always"] = "everysec"  # of the embedded server
    submit_replicas: int = Field(default=0, ge=0, le=16)  # how many must have a task before it is accepted
    submit_wait_ms: int = Field(default=1_000, ge=1, le=5_000)
    lease_s: float = Field(default=15.0, ge=1, le=3_600)
    retention_s: int = Field(default=7 * 86_400, ge=60)  # of an ended task, where its state has none of its own
    retention_succeeded_s: int | None = Field(default=None, ge=60)
    retention_failed_s: int | None = Field(default=None, ge=60)
    retention_cancelled_s: int | None = Field(default=None, ge=60)
    retention_dead_s: int | None = Field(default=None, ge=60)
    outbox_partitions: int = Field(default=4, ge=1, le=64)
    outbox_max_bytes: int = Field(default=512 * 1024 * 1024, ge=0)  # of unstored results; 0 is no limit

    @property
    def redis_address(self) -> str:
        """The URL to connect to; it may hold a password, so it is never logged."""
        if self.redis_url is not None:
            address = self.redis_url.get_secret_value()
            if self.redis_sentinel_password is not None and is_sentinel(address):
                return with_sentinel_password(address, self.redis_sentinel_password.get_secret_value())
            return address
        if self.redis_sentinels:
            return self._sentinels.url
        user = quote(self.redis_user or "", safe="")
        password = quote(_shown(self.redis_password) or "", safe="")
        login = f"{user}:{password}@" if user or password else ""
        scheme = "rediss" if self.redis_tls else "redis"
        trusted = f"?ssl_ca_certs={quote(self.redis_ca_file)}" if self.redis_tls and self.redis_ca_file else ""
        return f"{scheme}://{login}{self.redis_host or '127.0.0.1'}:{self.redis_port}/0{trusted}"

    @property
    def _sentinels(self) -> SentinelAddress:
        return SentinelAddress(
            tuple(sentinel_host(text) for text in self.redis_sentinels),
            self.redis_master_name,
            username=self.redis_user,
            password=_shown(self.redis_password),
            sentinel_password=_shown(self.redis_sentinel_password),
            tls=self.redis_tls,
            ca_file=self.redis_ca_file if self.redis_tls else None,
        )

    @field_validator("redis_sentinels", mode="before")
    @classmethod
    def _hosts_and_ports(cls, value: Any) -> Any:
        hosts = split_commas(value)
        for host_and_port in hosts:
            sentinel_host(host_and_port)
        return hosts


def _shown(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


class GraphSettings(BaseSettings):
    """Neo4j, or what speaks its protocol."""

    neo4j_uri: str | None = None
    neo4j_host: Host | None = None
    neo4j_user: str = "neo4j"
    neo4j_password: SecretStr | None = None
    neo4j_database: str | None = None

    @property
    def neo4j_address(self) -> str:
        """The URI for the driver."""
        return self.neo4j_uri or f"bolt://{self.neo4j_host or '127.0.0.1'}:7687"


class VectorSettings(BaseSettings):
    """Qdrant and the embeddings that fill it."""

    qdrant_url: str | None = None
    qdrant_host: Host | None = None
    qdrant_api_key: SecretStr | None = None
    qdrant_collection: str = Field(default="codeforge", pattern=r"^[\w-]{1,100}$")
    qdrant_replicas: int = Field(default=1, ge=1, le=16)  # of each shard of a collection that is made now
    embeddings_base_url: str | None = None
    embeddings_api_key: SecretStr | None = None
    embeddings_model: str | None = None
    embeddings_dim: int = Field(default=256, ge=8, le=8_192)

    @property
    def qdrant_configured(self) -> bool:
        """Whether a process that can do without is to ask it."""
        return self.qdrant_url is not None or self.qdrant_host is not None

    @property
    def qdrant_address(self) -> str:
        """The base URL of Qdrant's REST API."""
        return self.qdrant_url or f"http://{self.qdrant_host or '127.0.0.1'}:6333"


class ModelSettings(BaseSettings):
    """The OpenAI-compatible model service."""

    openrouter_api_key: SecretStr | None = None
    llm_base_url: str | None = None
    llm_api_key: SecretStr | None = None
    llm_model: str | None = None
    llm_timeout_s: float = Field(default=300.0, gt=0, le=3_600)
    llm_max_connections: int = Field(default=500, ge=1, le=10_000)

    @property
    def model_configured(self) -> bool:
        """Whether model calls can be made at all."""
        return self.llm_base_url is not None or self.openrouter_api_key is not None

    @property
    def model_address(self) -> str:
        """The base URL that model calls go to."""
        return self.llm_base_url or OPENROUTER_BASE_URL

    @property
    def model_key(self) -> SecretStr | None:
        """The bearer key for `model_address`. OpenRouter's key is sent to OpenRouter only."""
        return self.llm_api_key if self.llm_base_url is not None else (self.llm_api_key or self.openrouter_api_key)

    @property
    def model_name(self) -> str | None:
        """The default model; None asks the service for its list and takes the first."""
        return self.llm_model or (None if self.llm_base_url is not None else OPENROUTER_DEFAULT_MODEL)


class WebSettings(BaseSettings):
    """Outgoing requests on a client's behalf."""

    allow_private_hosts: CommaList = ()
    tavily_api_key: SecretStr | None = None
    tavily_base_url: str = "https://api.tavily.com"
    exa_api_key: SecretStr | None = None
    exa_base_url: str = "https://api.exa.ai"
    zenrows_api_key: SecretStr | None = None
    zenrows_base_url: str = "https://api.zenrows.com"
    zenrows_wait_ms: int = Field(default=2_000, ge=0, le=30_000)  # for a page's scripts, after it loaded
    zenrows_premium_proxy: bool = False  # for every page; challenges are met with it anyway
    zenrows_proxy_country: str | None = Field(default=None, pattern=r"^[a-z]{2}$")
    zenrows_block_resources: str = Field(default="image,media,font", pattern=r"^[a-z,]*$")
    zenrows_concurrency: int = Field(default=5, ge=1, le=1_000)  # of a worker process; the plan's, divided by those
    rendered_pages_per_task: int = Field(default=50, ge=0, le=10_000)  # 0 renders nothing
    # What servers see. Its beginning, up to the first slash, is the name that robots.txt calls this service by.
    user_agent: str | None = Field(default=None, max_length=200, pattern=r"^[A-Za-z_-]+(/[!-~]+)?( [ -~]*)?$")
    robots_txt: bool = True  # whether sites' robots.txt is asked for and kept to
    robots_age_s: float = Field(default=3_600.0, ge=0, le=86_400)
    # Requests to a host at once, all workers; 0: any number. Unset it is 8, but for loopback addresses.
    host_concurrency: int | None = Field(default=None, ge=0, le=1_000)
    host_rate: float = Field(default=0.0, ge=0, le=10_000)  # requests to a host a second, all workers; 0: no rate
    host_burst: int = Field(default=10, ge=1, le=10_000)  # of them the first, with no distance between them
    host_wait_s: float = Field(default=3_600.0, ge=0, le=3_600)  # how long a page waits for its host's turn
    page_cache_max_bytes: int = Field(default=64 * 1024 * 1024, ge=0)  # in Redis; 0 shares no pages
    page_cache_age_s: float = Field(default=2.0, ge=0, le=86_400)  # a copy so young serves any task of its tenant

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


class WorkerSettings(BaseSettings):
    """A worker process."""

    worker_type: str = "general"
    max_concurrent_tasks: int = Field(default=100, ge=1, le=10_000)
    worker_max_memory_mb: int | None = Field(default=None, ge=128)
    drain_s: float = Field(default=25.0, ge=0, le=3_600)
    reuse_age_s: float = Field(default=86_400.0, ge=0, le=30 * 86_400)  # of an analysis that answers another; 0: none

    @field_validator("worker_type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        known = (GENERAL, *WorkerType)
        if value not in known:
            raise ValueError(f"expected {', '.join(known)}")
        return value


class ApiSettings(KeySettings):
    """The front door."""

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8080, ge=0, le=65_535)

    @model_validator(mode="after")
    def _loopback_without_keys(self) -> Self:
        if not self.api_keys and not is_loopback(self.api_host):
            raise ValueError("API_HOST is not a loopback address, which needs API_KEYS (tenant:sha256hex)")
        return self


class KubernetesSettings(BaseSettings):
    """What a process knows of the cluster that it runs on."""

    scalability_mode: Literal["embedded", "compose", "kubernetes"] = "embedded"
    mark_busy_pods: bool = False  # the reaper's
    pod_name: str | None = Field(default=None, max_length=253)  # None: the host's name, which is the pod's
    kubernetes_api_url: str = "https://kubernetes.default.svc"
    kubernetes_account_dir: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")

    @model_validator(mode="after")
    def _pods_of_a_cluster(self) -> Self:
        if self.mark_busy_pods and self.scalability_mode != "kubernetes":
            raise ValueError("MARK_BUSY_PODS needs SCALABILITY_MODE=kubernetes")
        return self


class TracingSettings(BaseSettings):
    """Where traces go, if anywhere."""

    otlp_endpoint: str | None = None  # the collector's base URL for OTLP/HTTP; none is no tracing
    otlp_headers: SecretStr | None = None  # name=value, comma-separated
    trace_sample_ratio: float = Field(default=1.0, ge=0, le=1)  # of the traces that begin here

    @field_validator("otlp_headers")
    @classmethod
    def _names_and_values(cls, value: SecretStr | None) -> SecretStr | None:
        for number, pair in enumerate(split_commas("" if value is None else value.get_secret_value()), start=1):
            if not all(pair.partition("=")):
                raise ValueError(f"expected name=value, which entry {number} is not")
        return value

    @property
    def otlp_header_pairs(self) -> tuple[tuple[str, str], ...]:
        """The headers for the collector; their values are secret."""
        given = "" if self.otlp_headers is None else self.otlp_headers.get_secret_value()
        pairs = (pair.partition("=") for pair in split_commas(given))
        return tuple((name.strip(), value.strip()) for name, _, value in pairs)


class FlowerSettings(BaseSettings):
    """Flower, as `codeforge flower` starts it."""

    flower_host: str = "127.0.0.1"
    flower_port: int = Field(default=5555, ge=1, le=65_535)
    flower_max_tasks: int = Field(default=10_000, ge=1)  # it keeps them in memory, some 6 kB each
    flower_basic_auth: SecretStr | None = None  # user:password

    @field_validator("flower_basic_auth")
    @classmethod
    def _user_and_password(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all(value.get_secret_value().partition(":")):
            raise ValueError("expected user:password")
        return value
