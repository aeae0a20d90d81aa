"""One attempt in a process of its own: `python -m workers.solo`, started by a worker for a task that may crash it."""

import asyncio
import os
import sys
import threading

from codeforge.execution.solo import claim_parts
from codeforge.logs import configure_logs
from codeforge.settings import load_settings
from codeforge.wiring.worker import run_alone
from workers.agents import agents_for

COMMAND = (sys.executable, "-m", "workers.solo")
PARENT_GONE = 75  # EX_TEMPFAIL of sysexits.h


def main() -> None:
    """Reads what to run from standard input, and ends with it or with its parent."""
    settings = load_settings()
    configure_logs(settings, "solo")
    line = sys.stdin.buffer.readline()
    worker_type = claim_parts(line)[1]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(run_alone(settings, agents_for([worker_type])[worker_type], line))


def _end_with_parent() -> None:
    """The parent never writes again: what ends this read is its death. The buffered reader would hold its lock, which
    an interpreter that ends cannot take."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(PARENT_GONE)


if __name__ == "__main__":
    main()
