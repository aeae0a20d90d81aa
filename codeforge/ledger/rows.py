"""Between Redis hashes and tasks. Absent and empty fields both mean None."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from codeforge.errors import LedgerUnavailable
from codeforge.ledger.port import WorkerRecord
from codeforge.task import ModelCall, Progress, Task, TaskFailure, TaskState, Usage
from codeforge.worker_types import Priority, WorkerType

SUMMARY_FIELDS = (
    "id", "tenant", "type", "state", "priority", "labels", "parent_id", "created_at", "timeout_s", "max_attempts",
    "attempts", "fence", "not_before", "started_at", "finished_at", "progress", "input_tokens", "output_tokens", "usd",
    "error_code", "error_message", "error_retryable", "stored", "reasons", "crashes", "queued_at", "wait_ms", "run_ms",
    "trace", "budget_tokens",
)  # fmt: skip
"""Everything of a row but its two large values."""

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

RESULT_FIELDS = (*SUMMARY_FIELDS, "input", "result")


def from_pairs(flat: Iterable[bytes]) -> dict[str, bytes]:
    """HGETALL inside a script answers a flat list; this is the mapping."""
    values = iter(flat)
    return {name.decode(): next(values) for name in values}


def from_values(names: Iterable[str], values: Iterable[bytes | None]) -> dict[str, bytes]:
    """HMGET's answer as a mapping, absent fields left out."""
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _text(row: Mapping[str, bytes], name: str) -> str | None:
    value = row.get(name)
    return value.decode() if value else None


def _int(row: Mapping[str, bytes], name: str) -> int | None:
    value = row.get(name)
    return int(float(value)) if value else None


def task_of(row: Mapping[str, bytes]) -> Task:
    """The task that a row holds."""
    code, progress = _text(row, "error_code"), row.get("progress")
    return Task(
        id=row["id"].decode(),
        tenant=row["tenant"].decode(),
        type=WorkerType(row["type"].decode()),
        state=TaskState(row["state"].decode()),
        priority=Priority(row["priority"].decode()),
        input=row.get("input", b"{}"),
        labels=row.get("labels", b"{}"),
        parent_id=_text(row, "parent_id"),
        created_at=int(row["created_at"]),
        timeout_s=int(row["timeout_s"]),
        max_attempts=int(row["max_attempts"]),
        attempts=int(row["attempts"]),
        fence=int(row["fence"]),
        not_before=_int(row, "not_before"),
        started_at=_int(row, "started_at"),
        finished_at=_int(row, "finished_at"),
        progress=Progress(**orjson.loads(progress)) if progress else None,
        usage=Usage(_int(row, "input_tokens") or 0, _int(row, "output_tokens") or 0, float(row.get("usd", b"0"))),
        result=row.get("result") or None,
        error=None
        if code is None
        else TaskFailure(code, _text(row, "error_message") or "", row.get("error_retryable") == b"1"),
        stored=row.get("stored") == b"1",
        reasons=b"[" + row.get("reasons", b"") + b"]",
        crashes=_int(row, "crashes") or 0,
        queued_at=_int(row, "queued_at"),
        wait_ms=_int(row, "wait_ms") or 0,
        run_ms=_int(row, "run_ms") or 0,
        trace=_text(row, "trace"),
        budget_tokens=_int(row, "budget_tokens"),
    )


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
