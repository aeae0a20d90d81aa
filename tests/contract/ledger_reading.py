"""The ledger's keys on a server, read as a whole: what the property test compares with its model."""

from collections.abc import Callable
from typing import Any

from codeforge.ledger import keys
from codeforge.worker_types import WorkerType
from tests.contract.ledger_engines import PARTITIONS

ZSETS = {"queued": keys.queued, "delayed": keys.delayed, "running": keys.running, "dead": keys.dead}

READS: dict[bytes, Callable[[Any, bytes], Any]] = {
    b"string": lambda pipe, name: pipe.get(name),
    b"hash": lambda pipe, name: pipe.hgetall(name),
    b"list": lambda pipe, name: pipe.lrange(name, 0, -1),
    b"set": lambda pipe, name: pipe.smembers(name),
    b"zset": lambda pipe, name: pipe.zrange(name, 0, -1, withscores=True),
    b"stream": lambda pipe, name: pipe.xrange(name),
}


async def everything(redis: Any) -> dict[bytes, Any]:
    """All of it by its keys. (DUMP would do, but the order inside of it changes by itself.)"""
    names = sorted(await redis.keys("*"))
    async with redis.pipeline(transaction=True) as pipe:
        for name in names:
            pipe.type(name)
        kinds = await pipe.execute()
        for name, kind in zip(names, kinds, strict=True):
            READS[kind](pipe, name)
        return dict(zip(names, await pipe.execute(), strict=True))


async def placed(
    redis: Any, task_id: str, worker_type: WorkerType
) -> tuple[dict[str, str], dict[str, bytes], int, list[str]]:
    """A task's row, its journal, how many model calls it lists, and the sorted sets that hold it."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hgetall(keys.task(task_id))
        pipe.hgetall(keys.journal(task_id))
        pipe.llen(keys.calls(task_id))
        for zset in ZSETS.values():
            pipe.zscore(zset(worker_type), task_id)
        row, journal, calls, *scores = await pipe.execute()
    decoded = {name.decode(): value.decode() for name, value in row.items()}
    steps = {name.decode(): value for name, value in journal.items()}
    return decoded, steps, calls, [name for name, score in zip(ZSETS, scores, strict=True) if score is not None]


async def outbox(redis: Any) -> list[tuple[str, int]]:
    """(task id, fence) of what awaits its projection."""
    streams = [await redis.xrange(keys.outbox(partition)) for partition in range(PARTITIONS)]
    return [(fields[b"id"].decode(), int(fields[b"fence"])) for stream in streams for _, fields in stream]
