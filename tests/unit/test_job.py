"""One task between the loop and the main thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.exceptions import Ignore, SoftTimeLimitExceeded

from codeforge.broker import job as job_module
from codeforge.broker.job import Callbacks, Job, Limits, Work
from codeforge.broker.loop_thread import LoopThread

DEADLINE_S = 60.0


class Celery:
    """Records which of its callbacks were called, and which jobs are over."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.over: list[Job] = []
        self.called = threading.Condition()

    def job(self, work: Work, soft_s: float | None = None, hard_s: float | None = None) -> Job:
        callbacks = Callbacks(*(self._recorder(name) for name in ("accept", "end", "timeout")))
        return Job(7, work, callbacks, Limits(soft_s, hard_s), lambda call: call(), self._over)

    def _recorder(self, name: str) -> Callable[..., None]:
        def record(*args: Any) -> None:
            self.calls.append((name, *args))

        return record

    def _over(self, job: Job) -> None:
        with self.called:
            self.over.append(job)
            self.called.notify_all()

    @property
    def timeouts(self) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == "timeout"]

    @property
    def outcome(self) -> Any:
        """What the one job that is over returned or raised."""
        with self.called:
            assert self.called.wait_for(lambda: self.over, DEADLINE_S), self.calls
        ((value, error, seconds),) = [call[1:] for call in self.calls if call[0] == "end"]
        assert 0 <= seconds < DEADLINE_S
        return error or value


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    deaths: list[str] = []
    thread = LoopThread(lambda: deaths.append("died"))
    thread.start()
    yield thread
    assert thread.stop(DEADLINE_S)
    assert deaths == []


@pytest.fixture
def celery() -> Celery:
    return Celery()


class Sleeper:
    """A task's coroutine: waits until it is cancelled, then does as told."""

    def __init__(self, when_cancelled: str = "ends") -> None:
        self.began = threading.Event()
        self._when_cancelled = when_cancelled

    async def __call__(self) -> str:
        self.began.set()
        try:
            await asyncio.sleep(DEADLINE_S)
        except asyncio.CancelledError:
            if self._when_cancelled == "ends":
                raise
            if self._when_cancelled == "goes on":
                await asyncio.sleep(0.5)
                raise
        return "returned"


def test_it_is_accepted_and_its_coroutine_runs_on_the_loop(loop: LoopThread, celery: Celery) -> None:
    async def work() -> str:
        await asyncio.sleep(0.01)
        return threading.current_thread().name

    job = celery.job(work)
    job.start(loop.loop)
    assert celery.outcome == "asyncio"
    assert [call[0] for call in celery.calls] == ["accept", "end"]
    assert (celery.calls[0][1], celery.over) == (7, [job])


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), TimeoutError("x")])
def test_what_the_coroutine_raised_is_told(loop: LoopThread, celery: Celery, error: Exception) -> None:
    async def work() -> None:
        raise error

    celery.job(work).start(loop.loop)
    assert celery.outcome is error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_would_end_the_process_fails_the_task_only(loop: LoopThread, celery: Celery, error: BaseException) -> None:
    async def work() -> None:
        raise error

    celery.job(work).start(loop.loop)
    assert "tried to end the process" in str(celery.outcome)
    assert loop.running


def test_work_that_makes_no_coroutine_fails_its_task_only(loop: LoopThread, celery: Celery) -> None:
    celery.job(lambda: int("no coroutine")).start(loop.loop)  # type: ignore[arg-type, return-value]
    assert isinstance(celery.outcome, ValueError)
    assert loop.running


def test_a_coroutine_that_was_cancelled_by_another_hand_fails(loop: LoopThread, celery: Celery) -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    celery.job(work).start(loop.loop)
    assert "not by the pool" in str(celery.outcome)


def test_the_soft_limit_cancels_and_tells_celery(loop: LoopThread, celery: Celery) -> None:
    celery.job(Sleeper(), soft_s=0.02).start(loop.loop)
    assert isinstance(celery.outcome, SoftTimeLimitExceeded)
    assert celery.timeouts == [(True, 0.02)]


def test_a_coroutine_that_returns_at_the_soft_limit_succeeds(loop: LoopThread, celery: Celery) -> None:
    celery.job(Sleeper("returns"), soft_s=0.02).start(loop.loop)
    assert celery.outcome == "returned"
    assert celery.timeouts == [(True, 0.02)]


def test_after_the_hard_limit_celery_hears_of_no_other_end(loop: LoopThread, celery: Celery) -> None:
    celery.job(Sleeper(), hard_s=0.02).start(loop.loop)
    with celery.called:
        assert celery.called.wait_for(lambda: celery.over, DEADLINE_S)
    assert celery.timeouts == [(False, 0.02)]
    assert [call[0] for call in celery.calls] == ["accept", "timeout"]


def test_the_hard_limit_comes_after_a_soft_one_that_was_ignored(loop: LoopThread, celery: Celery) -> None:
    celery.job(Sleeper("goes on"), soft_s=0.02, hard_s=0.1).start(loop.loop)
    with celery.called:
        assert celery.called.wait_for(lambda: celery.over, DEADLINE_S)
    assert celery.timeouts == [(True, 0.02), (False, 0.1)]


def test_terminate_cancels(loop: LoopThread, celery: Celery) -> None:
    work = Sleeper()
    job = celery.job(work)
    job.start(loop.loop)
    assert work.began.wait(DEADLINE_S)
    job.terminate()
    assert isinstance(celery.outcome, Ignore)


def test_a_job_terminated_before_it_runs_never_starts_its_coroutine(loop: LoopThread, celery: Celery) -> None:
    work = Sleeper()
    job = celery.job(work)
    job.terminate()
    job.start(loop.loop)
    assert isinstance(celery.outcome, Ignore)
    assert not work.began.is_set()


def test_a_coroutine_that_does_not_end_gives_its_slot_back_once(
    loop: LoopThread, celery: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "CANCEL_GRACE_S", 0.05)
    released, ended = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.sleep(DEADLINE_S)
        finally:
            while not released.is_set():  # noqa: ASYNC110 - by another thread
                await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_soon(ended.set)

    began = threading.Event()
    job = celery.job(work)
    job.start(loop.loop)
    assert began.wait(DEADLINE_S)
    job.terminate()
    assert isinstance(celery.outcome, Ignore)
    assert not ended.is_set()
    released.set()
    assert ended.wait(DEADLINE_S)
    assert celery.over == [job]


def test_abort_gives_up_what_ran_on_a_loop_that_is_gone(celery: Celery) -> None:
    died, aborted = threading.Event(), threading.Event()

    def on_death() -> None:
        died.set()
        aborted.wait(DEADLINE_S)  # until then the loop's own clean-up ends nothing

    loop = LoopThread(on_death)
    loop.start()
    work = Sleeper()
    job = celery.job(work)
    job.start(loop.loop)
    assert work.began.wait(DEADLINE_S)
    loop.loop.call_soon_threadsafe(loop.loop.stop)
    assert died.wait(DEADLINE_S)
    job.abort()
    assert "the event loop died" in str(celery.outcome)
    aborted.set()
    assert loop.stop(DEADLINE_S)
