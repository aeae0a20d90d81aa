"""One task between a pool thread, the loop and the main thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from celery.exceptions import Ignore, SoftTimeLimitExceeded

from codeforge.broker import job as job_module
from codeforge.broker.job import Callbacks, Job, Limits, Work
from codeforge.broker.loop_thread import LoopThread

DEADLINE_S = 10.0


class Celery:
    """Records which of its callbacks were called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.called = threading.Condition()

    @property
    def callbacks(self) -> Callbacks:
        return Callbacks(*(self._recorder(name) for name in ("accept", "success", "error", "timeout")))

    def _recorder(self, name: str) -> Callable[..., None]:
        def record(*args: Any) -> None:
            with self.called:
                self.calls.append((name, *args))
                self.called.notify_all()

        return record

    def wait_for(self, call: tuple[Any, ...]) -> None:
        with self.called:
            assert self.called.wait_for(lambda: call in self.calls, DEADLINE_S), self.calls


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


@pytest.fixture
def pool_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def make_job(celery: Celery, soft_s: float | None = None, hard_s: float | None = None) -> Job:
    return Job(7, celery.callbacks, Limits(soft_s, hard_s), lambda call: call())


class Sleeper:
    """A task's coroutine: waits until it is cancelled, then does as told."""

    def __init__(self, when_cancelled: str = "ends") -> None:
        self.began = threading.Event()
        self._when_cancelled = when_cancelled

    async def __call__(self) -> None:
        self.began.set()
        try:
            await asyncio.sleep(DEADLINE_S)
        except asyncio.CancelledError:
            if self._when_cancelled == "returns":
                return
            if self._when_cancelled == "goes on":
                await asyncio.sleep(0.5)
            raise


def start(pool_thread: ThreadPoolExecutor, job: Job, loop: LoopThread, work: Work) -> Future[None]:
    return pool_thread.submit(job.run, loop.loop, work)


def test_it_waits_for_the_coroutine(loop: LoopThread, celery: Celery) -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append(threading.current_thread().name)

    make_job(celery).run(loop.loop, work)
    assert done == ["asyncio"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), TimeoutError("x")])
def test_it_raises_what_the_coroutine_raised(loop: LoopThread, celery: Celery, error: Exception) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        make_job(celery).run(loop.loop, work)
    assert caught.value is error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_would_end_the_process_fails_the_task_only(loop: LoopThread, celery: Celery, error: BaseException) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(RuntimeError, match="tried to end the process"):
        make_job(celery).run(loop.loop, work)
    assert loop.running


def test_a_coroutine_that_was_cancelled_by_another_hand_fails(loop: LoopThread, celery: Celery) -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="not by the pool"):
        make_job(celery).run(loop.loop, work)


def test_the_soft_limit_cancels_and_tells_celery(loop: LoopThread, celery: Celery) -> None:
    with pytest.raises(SoftTimeLimitExceeded):
        make_job(celery, soft_s=0.02).run(loop.loop, Sleeper())
    assert celery.calls == [("timeout", True, 0.02)]


def test_a_coroutine_that_returns_at_the_soft_limit_succeeds(loop: LoopThread, celery: Celery) -> None:
    make_job(celery, soft_s=0.02).run(loop.loop, Sleeper("returns"))
    assert celery.calls == [("timeout", True, 0.02)]


def test_after_the_hard_limit_celery_hears_of_no_other_end(loop: LoopThread, celery: Celery) -> None:
    job = make_job(celery, hard_s=0.02)
    with pytest.raises(Ignore):
        job.run(loop.loop, Sleeper())
    job.succeed((0, None, 0.02))
    assert celery.calls == [("timeout", False, 0.02)]


def test_the_hard_limit_comes_after_a_soft_one_that_was_ignored(loop: LoopThread, celery: Celery) -> None:
    job = make_job(celery, soft_s=0.02, hard_s=0.1)
    with pytest.raises(Ignore):
        job.run(loop.loop, Sleeper("goes on"))
    assert celery.calls == [("timeout", True, 0.02), ("timeout", False, 0.1)]


def test_terminate_cancels(loop: LoopThread, celery: Celery, pool_thread: ThreadPoolExecutor) -> None:
    job, work = make_job(celery), Sleeper()
    running = start(pool_thread, job, loop, work)
    assert work.began.wait(DEADLINE_S)
    job.terminate()
    assert isinstance(running.exception(DEADLINE_S), Ignore)


def test_a_job_terminated_before_it_runs_never_starts_its_coroutine(loop: LoopThread, celery: Celery) -> None:
    job, work = make_job(celery), Sleeper()
    job.terminate()
    with pytest.raises(Ignore):
        job.run(loop.loop, work)
    assert not work.began.is_set()


def test_a_coroutine_that_does_not_end_gives_its_thread_back(
    loop: LoopThread, celery: Celery, pool_thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "CANCEL_GRACE_S", 0.05)
    job, work = make_job(celery), Sleeper("goes on")
    running = start(pool_thread, job, loop, work)
    assert work.began.wait(DEADLINE_S)
    job.terminate()
    assert isinstance(running.exception(0.4), Ignore)  # its coroutine goes on for 0.5 s


def test_abort_frees_a_thread_whose_loop_is_gone(celery: Celery, pool_thread: ThreadPoolExecutor) -> None:
    died, aborted = threading.Event(), threading.Event()

    def on_death() -> None:
        died.set()
        aborted.wait(DEADLINE_S)  # until then the loop's own clean-up does not free anybody

    loop = LoopThread(on_death)
    loop.start()
    job, work = make_job(celery), Sleeper()
    running = start(pool_thread, job, loop, work)
    assert work.began.wait(DEADLINE_S)
    loop.loop.call_soon_threadsafe(loop.loop.stop)
    assert died.wait(DEADLINE_S)
    job.abort()
    with pytest.raises(RuntimeError, match="the event loop died"):
        running.result(DEADLINE_S)
    aborted.set()
    assert loop.stop(DEADLINE_S)
