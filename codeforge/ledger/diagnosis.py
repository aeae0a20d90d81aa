"""What `codeforge doctor` asks a Redis server: does it keep what the ledger puts there?"""

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from codeforge.errors import LedgerUnavailable
from codeforge.ledger.connection import connect_once


@dataclass(frozen=True, slots=True)
class RedisReport:
    """`append_only` and `append_fsync` (`always`, `everysec`, `no`) are None where the server does not tell its
    configuration (managed services); its policy it always tells."""

    version: str
    policy: str | None
    append_only: bool | None
    append_fsync: str | None = None


async def examine_redis(address: str, timeout_s: float) -> RedisReport:
    """One connection, no retries. Raises LedgerUnavailable that says why; never with the address's password."""
    try:
        client = connect_once(address, timeout_s)
    except ValueError as error:
        text = "REDIS_URL is no redis://, rediss://, unix:// or sentinel:// address"
        raise LedgerUnavailable(text, retryable=False) from error
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
    info = await client.info()
    version = f"{'Valkey' if 'valkey_version' in info else 'Redis'} {info.get('valkey_version', info['redis_version'])}"
    policy = info.get("maxmemory_policy")
    try:
        config = await client.config_get("appendonly", "appendfsync")
    except ResponseError:  # no such command for this user
        return RedisReport(version, policy, None)
    texts = {_text(name): _text(value) for name, value in config.items()}
    append_only = texts.get("appendonly")
    return RedisReport(version, policy, append_only == "yes" if append_only else None, texts.get("appendfsync"))


def _text(value: str | bytes | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value
