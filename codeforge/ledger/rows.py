"""Between Redis hashes and tasks. Absent and empty fields both mean None."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from codeforge.errors import LedgerUnavailable
from codeforge.ledger.port import TaskHead, WorkerRecord
from codeforge.task import ModelCall, Progress, Task, TaskFailure, TaskState, Usage
from codeforge.worker_types import Priority, WorkerType

SUMMARY_FIELDS = (
    "id", "tenant", "type", "state", "priority", "labels", "parent_id", "created_at", "timeout_s", "max_attempts",
    "attempts", "fence", "not_before", "started_at", "finished_at", "progress", "input_tokens", "output_tokens", "usd",
    "error_code", "error_message", "error_retryable", "stored", "reasons", "crashes", "queued_at", "wait_ms", "run_ms",
    "trace", "budget_tokens",
)  # fmt: skip
"""Everything of a row but its two large values."""

HEAD_FIELDS = ("state", "type", "labels")
"""What a filter looks at."""

CLAIMED_FIELDS = (
    "tenant", "type", "place", "queued_at", "state", "fence", "attempts", "timeout_s", "trace", "priority", "labels",
    "parent_id", "created_at", "max_attempts", "budget_tokens", "input",
)  # fmt: skip
EARLIER_FIELDS = (
    "started_at", "wait_ms", "run_ms", "claim", "crashes", "progress", "input_tokens", "output_tokens", "usd",
    "reasons",
)  # fmt: skip
"""What `lua/claim.lua` reads, by its places, and answers: all that is of use in a task that runs. The second are what
attempts leave, so that the first attempt finds none."""

CLAIM_FIELDS = (*CLAIMED_FIELDS, *EARLIER_FIELDS)
"""A claim's answer, which is shorter for a first attempt."""

RESULT_FIELDS = (*SUMMARY_FIELDS, "input", "result")


def from_pairs(flat: Iterable[bytes]) -> dict[str, bytes]:
    """HGETALL inside a script answers a flat list; this is the mapping."""
    values = iter(flat)
    return {name.decode(): next(values) for name in values}


def from_values(names: Iterable[str], values: Iterable[bytes | None]) -> dict[str, bytes]:
    """HMGET's answer as a mapping, absent fields left out."""
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


STATES = {state.value.encode(): state for state in TaskState}
_TYPES = {worker_type.value.encode(): worker_type for worker_type in WorkerType}
_PRIORITIES = {priority.value.encode(): priority for priority in Priority}

_READ: Mapping[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("id", "tenant", "parent_id", "trace"), bytes.decode),
    **dict.fromkeys(("input", "labels", "result"), bytes),
    **dict.fromkeys(("created_at", "timeout_s", "max_attempts", "attempts", "fence", "not_before", "started_at"), int),
    **dict.fromkeys(("finished_at", "crashes", "queued_at", "wait_ms", "run_ms", "budget_tokens"), int),
    "type": _TYPES.__getitem__,
    "state": STATES.__getitem__,
    "priority": _PRIORITIES.__getitem__,
    "progress": lambda text: Progress(**orjson.loads(text)),
    "stored": b"1".__eq__,
    "reasons": lambda reasons: b"[" + reasons + b"]",
}
"""What a task's field is made of."""

_NO_LABELS = b"{}"
_ABSENT = {"input": b"{}", "labels": _NO_LABELS, "parent_id": None}


def task_of(row: Mapping[str, bytes]) -> Task:
    """The task that a row holds."""
    fields = {name: _READ[name](value) for name, value in row.items() if value and name in _READ}
    if "input_tokens" in row:
        fields["usage"] = Usage(int(row["input_tokens"]), int(row["output_tokens"]), float(row["usd"]))
    if code := row.get("error_code"):
        message, retryable = row.get("error_message", b"").decode(), row.get("error_retryable") == b"1"
        fields["error"] = TaskFailure(code.decode(), message, retryable)
    return Task(**_ABSENT | fields)


def head_of(row: Sequence[bytes | None]) -> TaskHead | None:
    """What a filter looks at, of the values of HEAD_FIELDS; None where there is no row."""
    state, worker_type, labels = row
    if state is None or worker_type is None:
        return None
    return TaskHead(STATES[state], _TYPES[worker_type], labels or _NO_LABELS)


def call_text(call: ModelCall) -> bytes:
    """A model call as the ledger lists it."""
    return orjson.dumps(
        {
            "step": call.step,
            "model": call.model,
            "input_tokens": call.input_tokens,
            "output_tokens": call.output_tokens,
            "usd": call.usd,
            "ms": call.ms,
        }
    )


def call_of(text: bytes) -> ModelCall:
    """The reverse of `call_text`."""
    return ModelCall(**orjson.loads(text))


def worker_text(worker: WorkerRecord) -> bytes:
    """A worker as `cf:workers` holds it."""
    types = [worker_type.value for worker_type in worker.types]
    return orjson.dumps({"types": types, "slots": worker.slots, "host": worker.host})


def worker_of(name: str, text: bytes) -> WorkerRecord:
    """The reverse of `worker_text`."""
    record = orjson.loads(text)
    types = [WorkerType(worker_type) for worker_type in record["types"]]
    return WorkerRecord(name, types, record["slots"], record.get("host", ""))


def reply_entries(reply: Any, name: str) -> Sequence[tuple[bytes, Mapping[bytes, bytes]]]:
    """The entries of one stream in XREAD's answer, whose shape depends on the protocol's version."""
    if not reply:
        return ()
    streams = reply.items() if isinstance(reply, dict) else reply
    for stream, entries in streams:
        if stream.decode() == name:
            # RESP3 wraps the entries in one more list.
            return entries[0] if entries and isinstance(entries[0], list) else entries
    raise LedgerUnavailable("the ledger answered for another stream")
