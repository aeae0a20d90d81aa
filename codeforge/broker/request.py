"""What monitors such as Flower hear of a task: how it ended in the ledger, under its own id."""

from typing import Any

from celery.worker.request import Request

from codeforge.task import TaskState

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

    def send_event(self, type: str, **fields: Any) -> None:
        """Sends an event of this request, if events are wanted."""
        if not (self._eventer and self._eventer.enabled and self.task.send_events):
            return
        if type == "task-succeeded":
            ending = ENDINGS.get(fields["result"].strip("'"))  # Celery gives the representation of a text
            if ending is None:
                return  # another worker runs it, or nobody can tell
            type, own = ending
            fields |= own
        elif type == "task-failed":  # our own fault; the worker's log has it whole
            fields |= {"exception": fields["exception"].partition("(")[0], "traceback": ""}
        self._eventer.send(type, uuid=self.id, **fields)
        if self.root_id not in (None, self.id):
            self._eventer.send(type, uuid=self.root_id, name=self.name, **fields)
