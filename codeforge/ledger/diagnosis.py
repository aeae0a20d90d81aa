"""What `codeforge doctor` asks a Redis server: does it keep what the ledger puts there?"""

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from codeforge.errors import LedgerUnavailable


@dataclass(frozen=True, slots=True)
class RedisReport:
    """`policy` and `append_only` are None where the server does not tell its configuration (managed services)."""

    version: str
    policy: str | None
    append_only: bool | None


async def examine_redis(address: str, timeout_s: float) -> RedisReport:
    """One connection, no retries. Raises LedgerUnavailable that says why; never with the address's password."""
    try:
        client = Redis.from_url(
            address, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
        )
    except ValueError as error:
        raise LedgerUnavailable("REDIS_URL is no redis://, rediss:// or unix:// address", retryable=False) from error
    try:
        return await _ask(client)
    except AuthenticationError as error:
        raise LedgerUnavailable("the server refuses the user or the password", retryable=False) from error
    except (RedisError, OSError) as error:
        raise LedgerUnavailable(f"the server cannot be reached ({type(error).__name__})") from error
    finally:
        await client.aclose()


async def _ask(client: Redis) -> RedisReport:
    await client.ping()
    info = await client.info("server")
    version = f"{'Valkey' if 'valkey_version' in info else 'Redis'} {info.get('valkey_version', info['redis_version'])}"
    try:
        config = await client.config_get("maxmemory-policy", "appendonly")
    except ResponseError:  # no such command for this user
        return RedisReport(version, None, None)
    texts = {_text(name): _text(value) for name, value in config.items()}
    append_only = texts.get("appendonly")
    return RedisReport(version, texts.get("maxmemory-policy"), append_only == "yes" if append_only else None)


def _text(value: str | bytes | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value
