"""What monitors such as Flower hear of a task: how it ended in the ledger, under its own id."""

import logging
from typing import Any
from weakref import ref

from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore
from celery.worker.request import Request
from celery.worker.state import task_ready

from codeforge.task import TaskState

logger = logging.getLogger(__name__)

ENDINGS: dict[str, tuple[str, dict[str, Any]]] = {
    TaskState.SUCCEEDED: ("task-succeeded", {}),
    TaskState.FAILED: ("task-failed", {"exception": "failed", "traceback": ""}),
    TaskState.DEAD: ("task-failed", {"exception": "dead", "traceback": ""}),
    TaskState.CANCELLED: ("task-revoked", {"terminated": False, "signum": None, "expired": False}),
    TaskState.QUEUED: ("task-retried", {"exception": "queued again", "traceback": ""}),
}
"""The events of Celery for the states of a task. Errors and results stay in the ledger: a broker's monitor is no place
for them."""


class LedgerRequest(Request):  # type: ignore[misc]  # celery ships no types
    """One ring. For Celery it succeeds whenever somebody looked at the task; what is told is what became of that.

    A later ring has an id of its own, with the task's as its root: what it tells is told of the task, too.
    """

    def execute_using_pool(self, pool: Any, **_: Any) -> Any:
        """Has the task's coroutine run; see `AsyncioPool.on_apply`."""
        hard_s, soft_s = self.time_limits
        job = pool.on_apply(  # what Celery has before it is for pools whose callers wait
            self._task.run,
            args=self._args,
            kwargs=self._kwargs,
            accept_callback=self.on_accepted,
            callback=self.on_end,
            timeout_callback=self.on_timeout,
            soft_timeout=soft_s or self._task.soft_time_limit,
            timeout=hard_s or self._task.time_limit,
        )
        self._apply_result = ref(job)
        return job

    def on_end(self, state: str | None, error: BaseException | None, run_s: float) -> None:
        """The coroutine ended. Raising is a fault of this service: a task's own failure is an outcome in the ledger."""
        if error is None:
            task_ready(self)  # not into Celery's set of successes: it is there to drop what is delivered again
            self.send_event("task-succeeded", result=state, runtime=run_s)
            return
        if not isinstance(error, Ignore):
            logger.error("Task %s[%s] raised unexpected: %r", self.name, self.id, error, exc_info=error)
        try:
            raise error
        except BaseException:  # Celery takes what it caught
            self.on_failure(ExceptionInfo(), return_ok=True)

    def tell_of_arrival(self) -> None:
        """The first event."""
        if self._eventer and self._eventer.enabled:
            self._eventer.send(
                "task-received",
                uuid=self.id,
                name=self.name,
                args=self._argsrepr,
                kwargs=self._kwargsrepr,
                root_id=self._root_id,
                parent_id=self._parent_id,
                retries=0,
                eta=None,
                expires=None,
            )

    def send_event(self, type: str, **fields: Any) -> None:
        """Sends an event of this request, if events are wanted."""
        eventer = self._eventer
        if not (eventer and eventer.enabled and self._task.send_events):
            return
        if type == "task-succeeded":
            ending = ENDINGS.get(fields["result"])
            if ending is None:
                return  # another worker runs it, or nobody can tell
            type, own = ending
            fields |= own
        elif type == "task-failed":  # our own fault; the worker's log has it whole
            fields |= {"exception": fields["exception"].partition("(")[0], "traceback": ""}
        eventer.send(type, uuid=self.id, **fields)
        if self._root_id not in (None, self.id):
            eventer.send(type, uuid=self._root_id, name=self.name, **fields)
