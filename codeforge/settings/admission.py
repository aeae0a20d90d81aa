"""Settings of what is admitted: caps, rates, and the keys that tell tenants apart."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from codeforge.settings.values import split_commas

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
DIGEST = re.compile(r"[0-9a-f]{64}")
EMPTY_KEY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The SHA-256 of nothing: whoever sends an empty key would be let in."""

EVERY_TENANT = ""

TenantNumbers = Annotated[dict[str, int], NoDecode]
"""Tenant -> number, with `EVERY_TENANT` for those that are not named."""


class AdmissionSettings(BaseSettings):
    """Caps, of which 0 or none is no cap, and each tenant's rate of submissions."""

    max_agents: int | None = Field(default=None, ge=1)
    """Tasks that run at once in the whole deployment; unset, no cap."""
    tenant_max_running: TenantNumbers = {}
    """Of each tenant: a number for all, `tenant:number` for one, comma-separated; 0 is no cap."""
    tenant_max_queued: TenantNumbers = {}
    """The same, of tasks that wait."""
    rate_limit: str | None = Field(default=None, pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour|day)$")
    """Submissions of each tenant, as `100/minute` (second, minute, hour, day); unset, no rate."""

    @field_validator("tenant_max_running", "tenant_max_queued", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        """`number` and `tenant:number`, comma-separated."""
        if not isinstance(value, str):
            return value
        numbers: dict[str, str] = {}
        for position, entry in enumerate(split_commas(value), start=1):
            tenant, _, number = entry.rpartition(":")
            named = TENANT.fullmatch(tenant) or ":" not in entry
            if not named or not re.fullmatch(r"[0-9]{1,9}", number):
                raise ValueError(f"entry {position}: expected a number, or tenant:number")
            if tenant in numbers:
                raise ValueError(f"entry {position}: a second number for the same")
            numbers[tenant] = number
        return numbers


class KeySettings(BaseSettings):
    """Who may use the front door."""

    api_keys: Annotated[dict[str, SecretStr], NoDecode] = {}
    """`tenant:sha256hex` of each key, comma-separated; without any, only this machine is served."""

    @field_validator("api_keys", mode="before")
    @classmethod
    def _parse_keys(cls, value: Any) -> Any:
        """`tenant:sha256hex` pairs, comma-separated, to hash -> tenant. A tenant may have several, so that a new key
        works before the old one goes."""
        if not isinstance(value, str):
            return value
        keys: dict[str, str] = {}
        for position, pair in enumerate(split_commas(value), start=1):
            tenant, _, digest = pair.partition(":")
            _check_key(f"entry {position}: ", tenant, digest.lower(), keys)
            keys[digest.lower()] = tenant
        return keys


def _check_key(where: str, tenant: str, digest: str, keys: Mapping[str, str]) -> None:
    """Raises ValueError, whose text never shows the value."""
    if not tenant or not DIGEST.fullmatch(digest):
        raise ValueError(f"{where}expected tenant:sha256hex, comma-separated")
    if not TENANT.fullmatch(tenant):
        raise ValueError(f"{where}a tenant's name has 1 to 64 letters, digits, and . _ @ - after the first")
    if digest == EMPTY_KEY:
        raise ValueError(f"{where}the hash of an empty key")
    if keys.get(digest, tenant) != tenant:
        raise ValueError(f"{where}the same key as another tenant's")
