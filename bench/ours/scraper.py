"""A worker's own parts, on one scrape task of the addresses on standard input: claim, fetch with all manners on,
journal, events, and the outcome handed in. Only Celery and the front door are left out. Prints the seconds it took.

`scraper WARM`: a host that a task before it fetches from, so that the processes that read pages are there, as a worker
has them from its first pages on.
"""

import math
import secrets
import sys
import time

import orjson
import uvloop

from codeforge.execution.control import AttemptControl
from codeforge.identity import new_task_id
from codeforge.ledger.lease import Lease
from codeforge.ledger.port import WorkerRecord
from codeforge.settings import load_settings
from codeforge.task import NewTask, TaskState
from codeforge.wiring.worker import AttemptParts
from codeforge.worker_types import Priority, WorkerType
from workers.scrape import ScrapeAgent

WORKER = "bench"
WARM_PAGES = 8


async def main(warm: str, urls: list[str]) -> None:
    """One task, to its end."""
    parts = AttemptParts(load_settings())
    try:
        await parts.ledger.renew_lease(WorkerRecord(WORKER, [WorkerType.SCRAPE], 1))
        await _run(parts, [f"{warm}/{number}" for number in range(WARM_PAGES)])
        began = time.monotonic()
        task_id = await _run(parts, urls)
        took = time.monotonic() - began
        ended = await parts.ledger.get("default", task_id)
    finally:
        await parts.close()
    pages = orjson.loads(ended.result or b'{"pages": []}')["pages"]
    if ended.state is not TaskState.SUCCEEDED or len(pages) != len(urls):
        raise SystemExit(f"{ended.state} with {len(pages)} pages of {len(urls)}")
    print(f"took {took:.4f}", flush=True)


async def _run(parts: AttemptParts, urls: list[str]) -> str:
    """The id of a task of these pages, once it ended."""
    lease = Lease(math.inf)
    lease.renewed(lease.now())
    task = NewTask(
        id=new_task_id(), tenant="default", type=WorkerType.SCRAPE, priority=Priority.NORMAL,
        input=orjson.dumps({"urls": urls}), labels=b"{}", timeout_s=600, max_attempts=1,
    )  # fmt: skip
    await parts.ledger.submit([task])
    claimed = await parts.ledger.claim(task.id, WORKER, secrets.token_hex(8))
    if claimed is None:
        raise SystemExit("the task cannot be claimed")
    await parts.runner.run(claimed, ScrapeAgent(), AttemptControl(lease))
    return task.id


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.stdin.read().split()))  # as a worker
