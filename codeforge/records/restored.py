"""The way back: a task as its node in the graph tells of it, once the ledger has let it go."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from codeforge.stores.ports import Node, Scalar
from codeforge.task import Task, TaskFailure, TaskState, Usage
from codeforge.worker_types import SPECS, Priority, WorkerType

Props = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class RestoredTask:
    """`result_truncated` says that the result was too large for the node; the task has none then."""

    task: Task
    result_truncated: bool


def restored_task(node: Node) -> RestoredTask:
    """The task of a Task node that was stored (it has a tenant). Its input may be cut; what an older release did not
    write has the type's default. Raises ValueError for a node of another make."""
    props = node.props
    worker_type = WorkerType(str(props.get("type")))
    spec = SPECS[worker_type]
    task = Task(
        id=node.id,
        tenant=str(props.get("tenant")),
        type=worker_type,
        state=TaskState(str(props.get("state"))),
        priority=Priority(str(props.get("priority") or Priority.NORMAL)),
        input=str(props.get("input") or "{}").encode(),
        labels=_labels(props.get("labels")),
        parent_id=_text(props, "parent_id"),
        created_at=_integer(props, "created_at") or 0,
        timeout_s=_integer(props, "timeout_s") or spec.timeout_s,
        max_attempts=_integer(props, "max_attempts") or spec.max_attempts,
        attempts=_integer(props, "attempts") or 0,
        fence=_integer(props, "fence") or 0,
        started_at=_integer(props, "started_at"),
        finished_at=_integer(props, "finished_at"),
        usage=_usage(props),
        wait_ms=_integer(props, "wait_ms") or 0,
        run_ms=_integer(props, "run_ms") or 0,
        result=None if props.get("result") is None else str(props["result"]).encode(),
        error=_error(props),
        stored=True,
        budget_tokens=_integer(props, "budget_tokens"),
        reasons=(_text(props, "attempt_errors") or "[]").encode(),
    )
    return RestoredTask(task, result_truncated=bool(props.get("result_truncated")))


def _text(props: Props, name: str) -> str | None:
    value = props.get(name)
    return value if isinstance(value, str) else None


def _integer(props: Props, name: str) -> int | None:
    value = props.get(name)
    return int(value) if isinstance(value, int | float) else None


def _usage(props: Props) -> Usage:
    usd = props.get("usd")
    return Usage(
        _integer(props, "input_tokens") or 0,
        _integer(props, "output_tokens") or 0,
        float(usd) if isinstance(usd, int | float) else 0.0,
    )


def _error(props: Props) -> TaskFailure | None:
    code = _text(props, "error_code")
    if code is None:
        return None
    return TaskFailure(code, _text(props, "error_message") or "", bool(props.get("error_retryable")))


def _labels(stored: Scalar) -> bytes:
    """`key=value` texts; no key holds an equals sign."""
    pairs = (label.partition("=") for label in stored) if isinstance(stored, list) else ()
    return orjson.dumps({key: value for key, _, value in pairs})
