"""One round trip for all calls of a script that come up in the same turn of the event loop.

Hundreds of agents and of requests share a loop. What they ask of the ledger at the same moment goes out together:
Redis still runs call after call, each is as atomic as alone, and each caller gets its own answer or error.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, TimeoutError

Argument = str | bytes | int | float

MAX_CALLS = 64
"""Calls in one round trip: so many scripts that take their time hold up one answer at most."""

MAX_TOGETHER = 16
"""Calls that one run of a script takes: most of what a run costs by itself is saved then, and it still ends soon."""

MAX_ARGUMENTS = 512
"""Of one run with several calls: one with many arguments, such as a large batch of tasks, goes by itself."""

MAX_BYTES = 256 * 1024
"""A call beyond this size goes alone, so that small ones do not wait for a large result to be sent."""

MAX_IN_FLIGHT = 4
"""Round trips at a time, each on a connection of its own; what comes up meanwhile makes the next one larger."""

MAX_WAITING = 20_000
MAX_WAIT_S = 10.0
"""A call that was not even sent after that time fails: the server stands still, and its caller has its own patience."""


@dataclass(slots=True)
class _Call:
    script: AsyncScript
    args: Sequence[Argument]
    together: bool
    answer: asyncio.Future[Any]
    since: float

    @property
    def large(self) -> bool:
        return sum([len(arg) for arg in self.args if arg.__class__ is bytes]) > MAX_BYTES


class Run:
    """One run of a script: for one call or, where the script takes several together, for some. Those have the number of
    a call's arguments first, then those of one call after another, and answer with a list."""

    def __init__(self, script: AsyncScript, args: Sequence[Argument], *, together: bool) -> None:
        """Of one call."""
        self.script = script
        self.args: list[Argument] = [len(args), *args] if together else list(args)
        self._width = len(args)
        self._together = together
        self._size = 1

    def takes(self, args: Sequence[Argument]) -> bool:
        """Takes another call's arguments, or refuses when it is full or they are not alike."""
        if len(args) != self._width or self._size == MAX_TOGETHER or len(self.args) + len(args) > MAX_ARGUMENTS:
            return False
        self.args += args
        self._size += 1
        return True

    def replies(self, reply: Any) -> Sequence[Any]:
        """One for each call."""
        if isinstance(reply, Exception):
            return [reply] * self._size
        return reply if self._together else [reply]


class Pipelined:
    """Runs scripts of one client. A caller that is cancelled leaves its call to be run, as if its answer was lost."""

    def __init__(self, redis: Redis, in_flight: int = MAX_IN_FLIGHT) -> None:
        self._redis = redis
        self._in_flight = in_flight
        self._waiting: deque[_Call] = deque()
        self._sending: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def run(self, script: AsyncScript, args: Sequence[Argument], *, together: bool = False) -> Any:
        """The script's answer. Raises what the driver raises, and its TimeoutError for a call that was never sent.

        Calls of a script that is run `together` share runs; see `Run`.
        """
        loop = asyncio.get_running_loop()
        call = _Call(script, args, together, loop.create_future(), loop.time())
        if call.large:
            await self._exchange([call])
            return await call.answer
        if len(self._waiting) >= MAX_WAITING:
            raise TimeoutError("too many calls wait for the server")
        self._waiting.append(call)
        if not self._scheduled and len(self._sending) < self._in_flight:
            self._scheduled = True
            loop.call_soon(self._send)
        return await call.answer

    def _send(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._sending) < self._in_flight:
            if not (calls := self._next()):
                continue
            task = asyncio.get_running_loop().create_task(self._exchange(calls))
            self._sending.add(task)
            task.add_done_callback(self._sent)

    def _next(self) -> list[_Call]:
        """The oldest calls, less those whose time is over or whose caller was cancelled."""
        oldest = asyncio.get_running_loop().time() - MAX_WAIT_S
        calls: list[_Call] = []
        while self._waiting and len(calls) < MAX_CALLS:
            call = self._waiting.popleft()
            if call.since < oldest:
                _settle(call, TimeoutError(f"not sent within {MAX_WAIT_S:g} s"))
            elif not call.answer.done():
                calls.append(call)
        return calls

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._send()

    async def _exchange(self, calls: Sequence[_Call]) -> None:
        try:
            runs = _runs(calls)
            for run, reply in zip(runs, await self._replies(list(runs)), strict=True):
                for call, part in zip(runs[run], run.replies(reply), strict=True):
                    _settle(call, part)
        except Exception as error:  # each caller gets it
            for call in calls:
                _settle(call, error)
        except BaseException:  # the loop ends
            for call in calls:
                call.answer.cancel()
            raise

    async def _replies(self, runs: Sequence[Run]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for run in runs:
                pipe.evalsha(run.script.sha, 0, *run.args)
            replies = await pipe.execute(raise_on_error=False)
        for number, run in enumerate(runs):
            if isinstance(replies[number], NoScriptError):  # a server that is new, or was emptied
                replies[number] = await _reloaded(run)
        return replies


def _runs(calls: Sequence[_Call]) -> Mapping[Run, list[_Call]]:
    """The runs in order, each with its calls."""
    runs: dict[Run, list[_Call]] = {}
    open_runs: dict[str, Run] = {}
    for call in calls:
        run = open_runs.get(call.script.sha)
        if run is None or not run.takes(call.args):
            run = Run(call.script, call.args, together=call.together)
            runs[run] = []
            if call.together:
                open_runs[call.script.sha] = run
        runs[run].append(call)
    return runs


async def _reloaded(run: Run) -> Any:
    try:
        return await run.script(args=run.args)
    except Exception as error:
        return error


def _settle(call: _Call, reply: Any) -> None:
    if call.answer.done():  # its caller was cancelled
        return
    if isinstance(reply, Exception):
        call.answer.set_exception(reply)
    else:
        call.answer.set_result(reply)
