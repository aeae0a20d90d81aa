"""A child process for suspects: `python -m workers.suspects`, started by a worker for tasks that may crash it."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable

from codeforge.execution.crew import Crew
from codeforge.logs import configure_logs
from codeforge.settings import load_settings
from codeforge.tracing import configure_tracing
from codeforge.wiring.suspects import run_suspects
from codeforge.worker_types import served_types
from workers.agents import agents_for

COMMAND = (sys.executable, "-m", "workers.suspects")
PARENT_GONE = 75  # EX_TEMPFAIL of sysexits.h
CHUNK = 65_536
DISMISSED_S = 10.0


def main() -> None:
    """Takes orders from standard input and answers on standard output, until its parent has no more, or is gone."""
    settings = load_settings()
    configure_logs(settings, "suspects")
    configure_tracing(settings, "suspects")
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what an agent prints is no answer
    agents = agents_for(served_types(settings.worker_type))

    def over(task_id: str) -> None:
        os.write(answers, task_id.encode() + b"\n")

    asyncio.run(run_suspects(settings, agents, over=over, listen=_listen))


def _listen(crew: Crew) -> None:
    """In a thread, so that the end of the parent is heard of though the loop may stand still."""
    post = asyncio.get_running_loop().call_soon_threadsafe
    threading.Thread(target=_take_orders, args=(crew, post), name="orders", daemon=True).start()


def _take_orders(crew: Crew, post: Callable[..., object]) -> None:
    rest = b""
    # Not the buffered reader: it would hold its lock, which an interpreter that ends cannot take.
    while data := os.read(sys.stdin.fileno(), CHUNK):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            post(crew.obey, line)
    if crew.busy:  # whoever has work aboard does not hang up
        os._exit(PARENT_GONE)
    post(crew.dismiss)
    time.sleep(DISMISSED_S)  # it has ended by then, unless its loop stands still: nobody is left to end it
    os._exit(PARENT_GONE)


if __name__ == "__main__":
    main()
