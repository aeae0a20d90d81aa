"""Signals that stop a worker leave word only; its main loop stops it.

So does Celery's own handler of SIGTERM. Its handlers of SIGQUIT and of a second SIGINT stop the pool inside the
handler, in the middle of whatever the main thread is at: handing a task to a pool that is closed when it goes on,
publishing under a lock that the stop then waits for, running the timers that the stop runs, too.
"""

import signal
import sys
from types import FrameType

from celery import platforms, signals
from celery.apps.worker import safe_say
from celery.platforms import EX_FAILURE
from celery.worker import state


def leave_word_only() -> None:
    """Replaces Celery's handlers of SIGQUIT and SIGINT, which it has set before a pool starts. SIGQUIT stops the worker
    cold, SIGINT warm and the second one cold. Does nothing outside the main thread."""
    for name in ("SIGQUIT", "SIGINT"):
        platforms.signals[name] = _leave_word


def _leave_word(number: int, _: FrameType | None) -> None:
    cold = number == signal.SIGQUIT or state.should_stop not in (None, False)
    how = "Cold" if cold else "Warm"
    try:
        safe_say(f"worker: {how} shutdown (MainProcess)", sys.__stdout__)
        signals.worker_shutting_down.send(sender=None, sig=signal.Signals(number).name, how=how, exitcode=EX_FAILURE)
    finally:
        setattr(state, "should_terminate" if cold else "should_stop", EX_FAILURE)
