"""A worker with a scripted runtime: `celery -A tests.contract.apps.pool_app worker`.

A task's id says what it does: `<word>-<milliseconds>-<anything>`; `hold-0-<gate>-<anything>` goes on until the test
opens the gate, and the gate `drain` opens when the drain begins. What happens is pushed onto the Redis list `log` as
`<event> <task id>`, or `open <gate>`.
"""

import asyncio
import signal
import sys
from functools import partial
from typing import Any
from unittest.mock import patch

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError

from codeforge.broker.app import make_app
from codeforge.broker.request import LedgerRequest
from codeforge.broker.tasks import register
from codeforge.errors import LedgerUnavailable
from codeforge.settings import load_settings
from codeforge.task import TaskState
from codeforge.worker_types import served_types

NO_START = "no-start"
QUIT_AMID_A_MESSAGE = "quit-amid-a-message"


class ScriptedRuntime:
    def __init__(self, address: str, fault: str) -> None:
        self._redis = _client(address, 60.0)  # outlives a restart of the server
        self._at_the_end = _client(address, 2.0)  # without a server the worker must stop all the same
        self._fault = fault
        self._claiming = True
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._peak = 0

    async def start(self, slots: int) -> None:
        if self._fault == NO_START:
            raise LedgerUnavailable("the ledger at 127.0.0.1 does not answer")
        await self._log(f"start {slots}")

    async def run(self, task_id: str) -> TaskState | None:
        if not self._claiming:
            await self._log(f"refused {task_id}")
            return None
        task = asyncio.current_task()
        assert task is not None
        self._running[task_id] = task
        self._peak = max(self._peak, len(self._running))
        await self._log(f"run {task_id}")
        try:
            await self._act(task_id)
        except asyncio.CancelledError:
            await self._log(f"cancelled {task_id}")
            raise
        finally:
            del self._running[task_id]
        await self._log(f"done {task_id}")
        word = task_id.partition("-")[0]
        return TaskState(word) if word in set(TaskState) else TaskState.SUCCEEDED

    async def _act(self, task_id: str) -> None:
        word, ms, *_ = task_id.split("-")
        if word == "raise":
            raise ValueError("an agent's fault")
        if word == "exit":
            sys.exit(3)
        if word == "hold":
            await self._opened(task_id.split("-")[2])
        if word == "peak":
            await self._log(f"peak {self._peak}")
        if word == "stoploop":
            asyncio.get_running_loop().stop()
        if word == "stubborn":
            await _ignore_cancellation(int(ms) / 1000)
        await asyncio.sleep(int(ms) / 1000)

    def stop_claiming(self) -> None:
        self._claiming = False

    async def drain(self, deadline_s: float) -> None:
        await self._at_the_end.rpush("log", f"drain {deadline_s:g}", "open drain")
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=deadline_s)
            for task in late:
                task.cancel()

    async def stop(self) -> None:
        await self._at_the_end.rpush("log", "stop")
        await self._at_the_end.aclose()
        await self._redis.aclose()

    async def _opened(self, gate: str) -> None:
        while await self._redis.lpos("log", f"open {gate}") is None:  # noqa: ASYNC110 - another process says so
            await asyncio.sleep(0.02)

    async def _log(self, line: str) -> None:
        await self._redis.rpush("log", line)


def _client(address: str, patience_s: float) -> Redis:
    patience = Retry(ConstantBackoff(0.1), retries=int(patience_s / 0.1))
    return Redis.from_url(address, retry=patience, retry_on_error=[ConnectionError])


async def _ignore_cancellation(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        try:
            await asyncio.sleep(until - loop.time())
        except asyncio.CancelledError:
            continue


def _quit_amid_a_message() -> None:
    """SIGQUIT comes while the main thread hands a message to the pool."""
    tell_of_arrival = LedgerRequest.tell_of_arrival

    def interrupted(self: LedgerRequest) -> None:
        tell_of_arrival(self)
        signal.raise_signal(signal.SIGQUIT)

    patch.object(LedgerRequest, "tell_of_arrival", interrupted).start()


_settings = load_settings()
_served = served_types(_settings.worker_type)
app = make_app(_settings, _served)
_fault = _settings.llm_model or ""  # a free text setting serves as the script's parameter
register(app, _served, partial(ScriptedRuntime, _settings.redis_address, _fault), drain_s=_settings.drain_s)
if _fault == QUIT_AMID_A_MESSAGE:
    _quit_amid_a_message()
