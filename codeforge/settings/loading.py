"""Putting the settings together, and checking what no single field can."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from codeforge.errors import SettingsError
from codeforge.sentinel import is_sentinel, parse_sentinel
from codeforge.settings.admission import AdmissionSettings
from codeforge.settings.groups import (
    ApiSettings,
    GraphSettings,
    KubernetesSettings,
    LedgerSettings,
    ModelSettings,
    VectorSettings,
    WorkerSettings,
)
from codeforge.settings.names import PREFIX
from codeforge.settings.operations import FlowerSettings, TracingSettings
from codeforge.settings.sources import BareNames, SecretFiles
from codeforge.settings.web import WebSettings

HTTP_ADDRESSES = (
    "llm_base_url", "embeddings_base_url", "qdrant_url", "tavily_base_url", "exa_base_url", "zenrows_base_url",
    "otlp_endpoint", "kubernetes_api_url",
)  # fmt: skip
GRAPH_SCHEMES = tuple(f"{scheme}{tls}" for scheme in ("neo4j", "bolt") for tls in ("", "+s", "+ssc"))


class Settings(
    LedgerSettings,
    GraphSettings,
    VectorSettings,
    ModelSettings,
    WebSettings,
    WorkerSettings,
    AdmissionSettings,
    ApiSettings,
    FlowerSettings,
    TracingSettings,
    KubernetesSettings,
):
    """Everything. Made once by `load_settings` and handed down; there is no global instance."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    phase: int = Field(default=1, ge=1, le=4)
    """Named by the first interface, and checked (1 to 4); nothing depends on it yet."""
    federation_enabled: bool = False
    """Named by the first interface, and checked; nothing depends on it yet."""
    health_file: Path | None = None
    """Touched every few seconds while the process works, for a probe to look at."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged, from this on."""
    log_format: Literal["json", "console"] = "json"
    """One JSON object a line, or text for people."""

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
        return init_settings, env_settings, BareNames(settings_cls, env_prefix=""), SecretFiles(settings_cls)


def load_settings(overrides: Mapping[str, str | None] | None = None) -> Settings:
    """Reads the environment; `overrides` (names without the prefix, any case) win. None is the setting's default.

    Raises SettingsError with one line that names the setting and never shows its value.
    """
    given = {name.lower(): value for name, value in (overrides or {}).items()}
    unknown = sorted(set(given) - set(Settings.model_fields))
    if unknown:
        raise SettingsError(f"{unknown[0].upper()}: no such setting")
    defaults = {name: Settings.model_fields[name].get_default() for name, value in given.items() if value is None}
    try:
        settings = Settings(**given | defaults)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        message = first["msg"].removeprefix("Value error, ")
        # A fault of two settings together has no place, and names the first of them itself.
        raise SettingsError(f"{PREFIX}{f'{name}: ' if name else ''}{message}") from None
    if settings.redis_url is not None:
        _require_redis(settings.redis_url.get_secret_value())
    if settings.neo4j_uri is not None:
        _require_url("neo4j_uri", settings.neo4j_uri, GRAPH_SCHEMES)
    for name in HTTP_ADDRESSES:
        if (address := getattr(settings, name)) is not None:
            _require_url(name, address, ("http", "https"))
    return settings


def _require_redis(address: str) -> None:
    if not is_sentinel(address):
        _require_url("redis_url", address, ("redis", "rediss", "unix", "sentinel"))
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
