"""Work side by side."""

import asyncio
from functools import partial

import pytest

from workers.parallel import in_parallel


def test_results_come_in_the_order_of_the_jobs() -> None:
    async def later(n: int) -> int:
        for _ in range(10 - n):
            await asyncio.sleep(0)
        return n

    assert asyncio.run(in_parallel([partial(later, n) for n in range(10)], 4)) == list(range(10))


def test_no_more_than_the_limit_run_at_once() -> None:
    running: set[int] = set()
    most: list[int] = []

    async def job(n: int) -> None:
        running.add(n)
        most.append(len(running))
        await asyncio.sleep(0)
        running.discard(n)

    asyncio.run(in_parallel([partial(job, n) for n in range(10)], 3))

    assert max(most) == 3


def test_the_first_error_ends_the_others_and_is_raised_as_it_is() -> None:
    ended: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("gone")

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hang")

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(in_parallel([hang, fail, hang], 3))
    assert ended == ["hang", "hang"]


def test_a_cancellation_ends_all_of_them() -> None:
    ended: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hang")

    async def main() -> None:
        work = asyncio.ensure_future(in_parallel([hang, hang], 2))
        for _ in range(3):
            await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(main())
    assert ended == ["hang", "hang"]
