"""The pool's threads and the way back from them to the main thread."""

import select
import threading
from functools import partial

from codeforge.broker.mailbox import Mailbox
from codeforge.broker.threads import TaskThreads

DEADLINE_S = 10.0


def test_threads_start_on_demand_and_never_exceed_the_limit() -> None:
    threads = TaskThreads(2)
    assert len(threads) == 0
    go, running = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        running.release()
        go.wait(DEADLINE_S)

    for _ in range(3):
        threads.submit(work)
    assert running.acquire(timeout=DEADLINE_S)
    assert running.acquire(timeout=DEADLINE_S)
    assert not running.acquire(timeout=0.05)  # the third waits
    go.set()
    assert running.acquire(timeout=DEADLINE_S)
    assert len(threads) == 2
    threads.stop(DEADLINE_S)


def test_an_idle_thread_is_used_again() -> None:
    threads = TaskThreads(8)
    for _ in range(20):
        done = threading.Event()
        threads.submit(done.set)
        assert done.wait(DEADLINE_S)
    assert len(threads) <= 2  # a thread may not have counted itself idle yet
    threads.stop(DEADLINE_S)


def test_work_that_raises_costs_no_thread() -> None:
    threads = TaskThreads(1)
    threads.submit(lambda: 1 / 0)  # type: ignore[arg-type]
    done = threading.Event()
    threads.submit(done.set)
    assert done.wait(DEADLINE_S)
    threads.stop(DEADLINE_S)


def test_stop_leaves_a_thread_behind_that_does_not_end() -> None:
    threads = TaskThreads(1)
    stuck = threading.Event()
    threads.submit(partial(_wait, stuck))
    threads.stop(0.05)
    stuck.set()


def _wait(event: threading.Event) -> None:
    event.wait(DEADLINE_S)


def readable(mailbox: Mailbox) -> bool:
    return bool(select.select([mailbox.fileno()], [], [], 0)[0])


def test_posted_calls_run_in_their_order_and_only_when_asked() -> None:
    mailbox, ran = Mailbox(), list[int]()
    assert not readable(mailbox)
    for number in range(3):
        mailbox.post(lambda number=number: ran.append(number))  # type: ignore[misc]
    assert (ran, readable(mailbox)) == ([], True)
    mailbox.run_posted()
    assert (ran, readable(mailbox)) == ([0, 1, 2], False)
    mailbox.close()


def test_a_call_that_raises_stops_no_other() -> None:
    mailbox, ran = Mailbox(), list[int]()
    mailbox.post(lambda: ran.append(1 // 0))
    mailbox.post(lambda: ran.append(2))
    mailbox.run_posted()
    assert ran == [2]
    mailbox.close()


def test_a_call_may_post_another() -> None:
    mailbox, ran = Mailbox(), list[int]()
    mailbox.post(lambda: mailbox.post(lambda: ran.append(1)))
    mailbox.run_posted()
    assert ran == [1]
    mailbox.close()


def test_every_post_of_many_threads_arrives() -> None:
    mailbox, ran = Mailbox(), list[int]()

    def post_many() -> None:
        for _ in range(500):
            mailbox.post(lambda: ran.append(1))

    threads = [threading.Thread(target=post_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(ran) < 4_000:
        mailbox.wait(DEADLINE_S)
        assert readable(mailbox)
        mailbox.run_posted()
    for thread in threads:
        thread.join()
    mailbox.close()


def test_a_wake_up_never_blocks_and_is_no_call() -> None:
    mailbox = Mailbox()
    for _ in range(100_000):  # more than a pipe holds
        mailbox.wake()
    assert readable(mailbox)
    mailbox.run_posted()
    assert not readable(mailbox)
    mailbox.close()
