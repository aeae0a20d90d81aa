"""The settings, grouped by what they are for."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from codeforge.sentinel import (
    DEFAULT_MASTER,
    SentinelAddress,
    is_sentinel,
    sentinel_host,
    with_sentinel_password,
)
from codeforge.settings.admission import KeySettings
from codeforge.settings.values import CommaList, host, is_loopback, split_commas
from codeforge.worker_types import GENERAL, WorkerType

OPENROUTER_BASE_URL = "https://openrouter.ai/api/v1"
OPENROUTER_DEFAULT_MODEL = "openai/gpt-4o-mini"

Host = Annotated[str, AfterValidator(host)]


class LedgerSettings(BaseSettings):
    """Redis or Valkey: the broker and the ledger."""

    redis_url: SecretStr | None = None
    """Redis or Valkey, `redis://`, `rediss://`, `unix://` or `sentinel://`. It wins over the names below."""
    redis_host: Host | None = None
    """Its host, where no URL is given; 127.0.0.1 without either."""
    redis_port: int = Field(default=6379, ge=1, le=65_535)
    """Its port, for `REDIS_HOST`."""
    redis_sentinels: CommaList = ()
    """`host:port` of each Sentinel, comma-separated; they win over `REDIS_HOST`."""
    redis_master_name: str = Field(default=DEFAULT_MASTER, min_length=1)
    """What the Sentinels call the server."""
    redis_user: str | None = None
    """For `REDIS_HOST` and `REDIS_SENTINELS`; a URL holds its own."""
    redis_password: SecretStr | None = None
    """As `REDIS_USER`."""
    redis_sentinel_password: SecretStr | None = None
    """The Sentinels' own."""
    redis_tls: bool = False
    """Of the data servers and the Sentinels; a URL says it itself."""
    redis_ca_file: str | None = None
    """Trusted instead of the system's certificates."""
    redis_appendfsync: Literal["everysec", "always"] = "everysec"
    """How often the embedded server syncs its log."""
    submit_replicas: int = Field(default=0, ge=0, le=16)
    """How many replicas must have a task before it is accepted."""
    submit_wait_ms: int = Field(default=1_000, ge=1, le=5_000)
    """How long a submission waits for them, in milliseconds."""
    lease_s: float = Field(default=15.0, ge=1, le=3_600)
    """How long a worker that says nothing keeps its tasks, in seconds."""
    retention_s: int = Field(default=7 * 86_400, ge=60)
    """How long an ended task is kept, in seconds, where its state has no time of its own below."""
    retention_succeeded_s: int | None = Field(default=None, ge=60)
    """The same, of succeeded tasks."""
    retention_failed_s: int | None = Field(default=None, ge=60)
    """The same, of failed tasks."""
    retention_cancelled_s: int | None = Field(default=None, ge=60)
    """The same, of cancelled tasks."""
    retention_dead_s: int | None = Field(default=None, ge=60)
    """The same, of dead tasks."""
    outbox_partitions: int = Field(default=4, ge=1, le=64)
    """Into how many parts the outbox is split, which projectors share. The same everywhere."""
    outbox_max_bytes: int = Field(default=512 * 1024 * 1024, ge=0)
    """Of results that no store has yet, from which on submissions are refused; 0 is no limit."""

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
    """Neo4j, or what speaks Bolt: `bolt://` or `neo4j://`. It wins over `NEO4J_HOST`."""
    neo4j_host: Host | None = None
    """Its host, on port 7687; 127.0.0.1 without either."""
    neo4j_user: str = "neo4j"
    """Who signs in."""
    neo4j_password: SecretStr | None = None
    """Their password; none signs in without."""
    neo4j_database: str | None = None
    """The database; the server's default where none is named."""

    @property
    def neo4j_address(self) -> str:
        """The URI for the driver."""
        return self.neo4j_uri or f"bolt://{self.neo4j_host or '127.0.0.1'}:7687"


class VectorSettings(BaseSettings):
    """Qdrant and the embeddings that fill it."""

    qdrant_url: str | None = None
    """Qdrant's REST API. It wins over `QDRANT_HOST`."""
    qdrant_host: Host | None = None
    """Its host, on port 6333; 127.0.0.1 without either."""
    qdrant_api_key: SecretStr | None = None
    """Qdrant's key."""
    qdrant_collection: str = Field(default="codeforge", pattern=r"^[\w-]{1,100}$")
    """The collection; made where it is not there."""
    qdrant_replicas: int = Field(default=1, ge=1, le=16)
    """Of each shard of a collection that is made now."""
    embeddings_base_url: str | None = None
    """An OpenAI-compatible embeddings service; without one, the built-in model, which the images leave out."""
    embeddings_api_key: SecretStr | None = None
    """Its key."""
    embeddings_model: str | None = None
    """Its model; needed with `EMBEDDINGS_BASE_URL`."""
    embeddings_dim: int = Field(default=256, ge=8, le=8_192)
    """Numbers of a vector. Another collection is needed where it changes."""

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
    """OpenRouter's key, sent to OpenRouter only; enough for the agents that need a model."""
    llm_base_url: str | None = None
    """Another OpenAI-compatible service instead."""
    llm_api_key: SecretStr | None = None
    """The key that is sent with model calls, before OpenRouter's."""
    llm_model: str | None = None
    """The model; unset, `openai/gpt-4o-mini` at OpenRouter, and the first of its list at another service."""
    llm_timeout_s: float = Field(default=300.0, gt=0, le=3_600)
    """How long one model call may take, in seconds."""
    llm_max_connections: int = Field(default=500, ge=1, le=10_000)
    """Model calls at once, of a worker process."""

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


class WorkerSettings(BaseSettings):
    """A worker process."""

    worker_type: str = "general"
    """What a worker process runs: a type, or `general` for all."""
    max_concurrent_tasks: int = Field(default=100, ge=1, le=10_000)
    """Agents at once, of a worker process."""
    worker_max_memory_mb: int | None = Field(default=None, ge=128)
    """MiB that a worker process holds, from which on it drains and ends; unset, no limit."""
    drain_s: float = Field(default=25.0, ge=0, le=3_600)
    """How long a worker that is told to end lets its tasks go on, in seconds."""
    reuse_age_s: float = Field(default=86_400.0, ge=0, le=30 * 86_400)
    """How old an analysis may be, in seconds, that answers another of its tenant; 0 reuses none."""

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
    """The address that the API listens on; another than loopback needs `API_KEYS`."""
    api_port: int = Field(default=8080, ge=0, le=65_535)
    """Its port; 0 takes a free one."""

    @model_validator(mode="after")
    def _loopback_without_keys(self) -> Self:
        if not self.api_keys and not is_loopback(self.api_host):
            raise ValueError("API_HOST: not a loopback address, which needs API_KEYS (tenant:sha256hex)")
        return self


class KubernetesSettings(BaseSettings):
    """What a process knows of the cluster that it runs on."""

    scalability_mode: Literal["embedded", "compose", "kubernetes"] = "embedded"
    """Where it runs. `MARK_BUSY_PODS` needs `kubernetes`."""
    mark_busy_pods: bool = False
    """Whether pods with tasks are marked, so that a scale-in takes idle ones first."""
    pod_name: str | None = Field(default=None, max_length=253)
    """This pod's; unset, the host's name, which is the same."""
    kubernetes_api_url: str = "https://kubernetes.default.svc"
    """The cluster's API server."""
    kubernetes_account_dir: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Where the ServiceAccount's token and certificate are."""

    @model_validator(mode="after")
    def _pods_of_a_cluster(self) -> Self:
        if self.mark_busy_pods and self.scalability_mode != "kubernetes":
            raise ValueError("MARK_BUSY_PODS: needs SCALABILITY_MODE=kubernetes")
        return self
