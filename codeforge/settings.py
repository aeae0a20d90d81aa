"""All settings, and the only reader of the environment.

Every field is read from `CODEFORGE_<NAME>`; the names in `BARE_NAMES`, which existing deployments already use, are
read without the prefix too (the prefixed one wins). `CODEFORGE_SECRETS_DIR` names a directory of files, each called
after a setting (no prefix, any case) and holding its value, for what is in no variable. Times are in seconds unless
the name says otherwise.
"""

import os
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from codeforge.errors import SettingsError
from codeforge.sentinel import is_sentinel, parse_sentinel, with_sentinel_password
from codeforge.worker_types import GENERAL, WorkerType

PREFIX = "CODEFORGE_"
SECRETS_DIR = f"{PREFIX}SECRETS_DIR"

BARE_NAMES = frozenset(
    {
        "REDIS_URL", "REDIS_HOST", "NEO4J_URI", "NEO4J_HOST", "NEO4J_USER", "NEO4J_PASSWORD",
        "QDRANT_URL", "QDRANT_HOST", "QDRANT_API_KEY", "OPENROUTER_API_KEY", "TAVILY_API_KEY", "EXA_API_KEY",
        "ZENROWS_API_KEY", "WORKER_TYPE", "MAX_CONCURRENT_TASKS", "MAX_AGENTS", "SCALABILITY_MODE", "PHASE",
        "FEDERATION_ENABLED",
    }
)  # fmt: skip

PASSED_ON = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONDONTWRITEBYTECODE",
    }
)  # fmt: skip
"""What a child process needs besides the settings: where programs, libraries and certificates are."""

PASSED_ON_PREFIXES = ("LC_", "OMP_", "OPENBLAS_")

OPENROUTER_BASE_URL = "https://openrouter.ai/api/v1"
OPENROUTER_DEFAULT_MODEL = "openai/gpt-4o-mini"

HTTP_ADDRESSES = (
    "llm_base_url", "embeddings_base_url", "qdrant_url", "tavily_base_url", "exa_base_url", "zenrows_base_url"
)  # fmt: skip

CommaList = Annotated[tuple[str, ...], NoDecode]


class LedgerSettings(BaseSettings):
    """Redis or Valkey: the broker and the ledger."""

    redis_url: SecretStr | None = None
    redis_host: str | None = None
    redis_port: int = Field(default=6379, ge=1, le=65_535)
    redis_password: SecretStr | None = None  # for `redis_host`; a `redis_url` holds its own
    redis_sentinel_password: SecretStr | None = None  # the Sentinels' own, for a `redis_url` that names some
    redis_appendfsync: Literal["everysec", "always"] = "everysec"  # of the embedded server
    submit_replicas: int = Field(default=0, ge=0, le=16)  # how many must have a task before it is accepted
    submit_wait_ms: int = Field(default=1_000, ge=1, le=5_000)
    lease_s: float = Field(default=15.0, ge=1, le=3_600)
    retention_s: int = Field(default=7 * 86_400, ge=60)
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
        password = "" if self.redis_password is None else quote(self.redis_password.get_secret_value(), safe="")
        return f"redis://{password and f':{password}@'}{self.redis_host or '127.0.0.1'}:{self.redis_port}/0"


class GraphSettings(BaseSettings):
    """Neo4j, or what speaks its protocol."""

    neo4j_uri: str | None = None
    neo4j_host: str | None = None
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
    qdrant_host: str | None = None
    qdrant_api_key: SecretStr | None = None
    qdrant_collection: str = Field(default="codeforge", pattern=r"^[\w-]{1,100}$")
    embeddings_base_url: str | None = None
    embeddings_api_key: SecretStr | None = None
    embeddings_model: str | None = None
    embeddings_dim: int = Field(default=256, ge=8, le=8_192)

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

    @field_validator("allow_private_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return split_commas(value)

    @field_validator("allow_private_hosts")
    @classmethod
    def _hosts_or_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, entry in enumerate(value, start=1):
            if "/" in entry and not _is_network(entry):
                raise ValueError(f"entry {number} is no network")
        return value


class WorkerSettings(BaseSettings):
    """A worker process."""

    worker_type: str = "general"
    max_concurrent_tasks: int = Field(default=100, ge=1, le=10_000)
    max_agents: int | None = Field(default=None, ge=1)
    worker_max_memory_mb: int | None = Field(default=None, ge=128)
    drain_s: float = Field(default=25.0, ge=0, le=3_600)

    @field_validator("worker_type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        known = (GENERAL, *WorkerType)
        if value not in known:
            raise ValueError(f"expected {', '.join(known)}")
        return value


class ApiSettings(BaseSettings):
    """The front door."""

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8080, ge=0, le=65_535)
    api_keys: Annotated[dict[str, SecretStr], NoDecode] = {}

    @field_validator("api_keys", mode="before")
    @classmethod
    def _parse_keys(cls, value: Any) -> Any:
        """`tenant:sha256hex` pairs, comma-separated, to hash -> tenant."""
        if not isinstance(value, str):
            return value
        keys: dict[str, str] = {}
        for pair in split_commas(value):
            tenant, _, digest = pair.partition(":")
            digest = digest.lower()
            if not tenant or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
                raise ValueError("expected tenant:sha256hex, comma-separated")
            keys[digest] = tenant
        return keys

    @model_validator(mode="after")
    def _loopback_without_keys(self) -> Self:
        if not self.api_keys and not is_loopback(self.api_host):
            raise ValueError("API_HOST is not a loopback address, which needs API_KEYS (tenant:sha256hex)")
        return self


class FlowerSettings(BaseSettings):
    """Flower, as `codeforge flower` starts it."""

    flower_host: str = "127.0.0.1"
    flower_port: int = Field(default=5555, ge=1, le=65_535)
    flower_basic_auth: SecretStr | None = None  # user:password

    @field_validator("flower_basic_auth")
    @classmethod
    def _user_and_password(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all(value.get_secret_value().partition(":")):
            raise ValueError("expected user:password")
        return value


class Settings(
    LedgerSettings,
    GraphSettings,
    VectorSettings,
    ModelSettings,
    WebSettings,
    WorkerSettings,
    ApiSettings,
    FlowerSettings,
):
    """Everything. Made once by `load_settings` and handed down; there is no global instance."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    scalability_mode: Literal["embedded", "compose", "kubernetes"] = "embedded"
    phase: int = Field(default=1, ge=1, le=4)
    federation_enabled: bool = False
    health_file: Path | None = None  # a worker, projector or reaper touches it every few seconds while it works
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then prefixed variables, then the bare names, then files."""
        return init_settings, env_settings, _BareNames(settings_cls, env_prefix=""), _SecretFiles(settings_cls)


class _BareNames(EnvSettingsSource):
    """The environment without the prefix, for `BARE_NAMES` only."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        if field_name.upper() not in BARE_NAMES:
            return None, field_name, False
        return super().get_field_value(field, field_name)


class _SecretFiles(PydanticBaseSettingsSource):
    """The files in the directory that `CODEFORGE_SECRETS_DIR` names. An empty one says nothing."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        directory = os.environ.get(SECRETS_DIR)
        try:
            self._files = {path.name.lower(): path for path in Path(directory).iterdir()} if directory else {}
        except OSError as error:
            raise SettingsError(f"{SECRETS_DIR}: {error.strerror}") from error

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = self._files.get(field_name)
        try:
            text = "" if path is None else path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{PREFIX}{field_name.upper()}: its file cannot be read") from error
        return text or None, field_name, False

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


def split_commas(value: Any) -> Any:
    """`"a, b"` to `("a", "b")`; anything but a string is returned as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether binding `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def load_settings(overrides: Mapping[str, str] | None = None) -> Settings:
    """Reads the environment; `overrides` (names without the prefix, any case) win.

    Raises SettingsError with one line that names the setting and never shows its value.
    """
    given = {name.lower(): value for name, value in (overrides or {}).items()}
    unknown = sorted(set(given) - set(Settings.model_fields))
    if unknown:
        raise SettingsError(f"{unknown[0].upper()}: no such setting")
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # texts, which pydantic parses
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{PREFIX + name if name else 'settings'}: {message}") from None
    if settings.redis_url is not None:
        _require_redis(settings.redis_url.get_secret_value())
    for name in HTTP_ADDRESSES:
        if (address := getattr(settings, name)) is not None:
            _require_url(name, address, ("http", "https"))
    return settings


def _require_redis(address: str) -> None:
    if not is_sentinel(address):
        _require_url("redis_url", address, ("redis", "rediss", "unix"))
        return
    try:
        parse_sentinel(address)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}REDIS_URL: a sentinel:// address: {error}") from None


def _require_url(name: str, value: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in schemes and bool(parts.hostname or parts.scheme == "unix") and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        usable = False
    if not usable:
        raise SettingsError(f"{PREFIX}{name.upper()}: expected a URL that begins with {'://, '.join(schemes)}://")


def process_environment() -> dict[str, str]:
    """What any child process needs of this one's environment: no setting, and so no secret."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() in PASSED_ON or name.upper().startswith(PASSED_ON_PREFIXES)
    }


def settings_environment(overrides: Mapping[str, str], without: Iterable[str] = ()) -> dict[str, str]:
    """The settings of this process's environment as a child's, with `overrides` (names without the prefix) in place.

    `without` names settings (no prefix, any case) that are left out in both their spellings.
    """
    given = {name.upper(): value for name, value in overrides.items()}
    dropped = {name.upper() for name in (*without, *given)}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if (name.upper() in BARE_NAMES or name.upper().startswith(PREFIX))
        and name.upper().removeprefix(PREFIX) not in dropped
    }
    return inherited | {PREFIX + name: value for name, value in given.items()}
