"""The way from other threads to the main thread."""

import select
import threading

from codeforge.broker.mailbox import Mailbox

DEADLINE_S = 60.0


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
