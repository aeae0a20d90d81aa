"""Running parts of one agent's work side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def in_parallel(jobs: Sequence[Callable[[], Awaitable[T]]], limit: int) -> list[T]:
    """What the jobs return, in their order, at most `limit` of them at a time. The first error of any ends the others
    and is raised as it is; so does a cancellation. None of them runs on after this returns."""
    slots = asyncio.Semaphore(limit)

    async def one(job: Callable[[], Awaitable[T]]) -> T:
        async with slots:
            return await job()

    tasks = [asyncio.create_task(one(job)) for job in jobs]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
