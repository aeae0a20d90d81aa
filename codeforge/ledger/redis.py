"""The ledger on Redis or Valkey: one Lua call per transition."""

import asyncio
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from redis.asyncio import Redis

from codeforge.errors import (
    IdempotencyConflict,
    NotReplicated,
    OutboxFull,
    StaleClaim,
    StateConflict,
    TaskNotFound,
    UnknownParent,
)
from codeforge.ledger import keys
from codeforge.ledger.admission import NO_CAPS, Caps, constants, queue_full
from codeforge.ledger.bells import Bells
from codeforge.ledger.headroom import MAX_AGE_S, Headroom
from codeforge.ledger.listing import TaskLists
from codeforge.ledger.pipelining import Argument
from codeforge.ledger.port import (
    NOT_CONFIRMED,
    ClaimedTask,
    Idempotency,
    LedgerSnapshot,
    Outcome,
    Submission,
    TaskFilter,
    TaskPage,
    WorkerRecord,
)
from codeforge.ledger.rows import (
    CLAIM_FIELDS,
    RESULT_FIELDS,
    STATES,
    call_text,
    from_pairs,
    from_values,
    reply_entries,
    task_of,
    worker_text,
)
from codeforge.ledger.scripts import Replication, Scripts, answer
from codeforge.ledger.snapshot import read_snapshot
from codeforge.task import Claim, ModelCall, NewTask, Progress, Task, TaskEvent, TaskState
from codeforge.worker_types import WorkerType

PING_TIMEOUT_S = 5.0
NOT_REPLICATED = Replication()


class RedisLedger:
    """`Ledger` on one Redis. `blocking` is a second pool for reads that wait, so that they never starve the rest."""

    def __init__(
        self,
        redis: Redis,
        blocking: Redis,
        bells: Bells,
        *,
        partitions: int,
        lease_s: float,
        outbox_max_bytes: int = 0,
        replication: Replication = NOT_REPLICATED,
        headroom_age_s: float = MAX_AGE_S,
        caps: Caps = NO_CAPS,
    ) -> None:
        """`outbox_max_bytes` of results that await their projection refuse submissions; 0 is no limit. A submission is
        answered when `replication` is; what is known of the memory is `headroom_age_s` seconds old at most."""
        self._redis = redis
        self._blocking = blocking
        self._lists = TaskLists(redis)
        self._scripts = Scripts(redis, constants(caps, bells))
        self._caps = caps
        self._partitions = partitions
        self._lease_ms = int(lease_s * 1000)
        self._outbox_max_bytes = outbox_max_bytes
        self._replication = replication
        self._headroom = Headroom(redis, headroom_age_s)

    async def submit(self, tasks: Sequence[NewTask], idempotency: Idempotency | None = None) -> Submission:
        """See `Ledger.submit`."""
        await self._headroom.check()
        args = self._submission(tasks, idempotency)
        (status, *rest), replicated = await self._scripts.run_replicated("submit", args, self._replication)
        if status == b"conflict":
            raise IdempotencyConflict("this Idempotency-Key came with another body before")
        if status == b"outbox_full":
            raise OutboxFull("too many results wait for the stores; nothing was accepted")
        if status == b"no_parent":
            raise UnknownParent(rest[0] - 1)
        if status == b"queue_full":
            raise queue_full(self._caps, tasks[0].tenant)
        if not replicated:
            raise NotReplicated(NOT_CONFIRMED)
        made_at, *raw = rest
        ids = [task_id.decode() for task_id in raw]
        # The same ids are this very call, repeated because its answer was lost.
        return Submission(ids, replayed=status == b"replayed" and ids[0] != tasks[0].id, created_at=int(made_at))

    def _submission(self, tasks: Sequence[NewTask], idempotency: Idempotency | None) -> list[Argument]:
        idem_key = keys.idempotency(tasks[0].tenant, idempotency.key) if idempotency else ""
        args: list[Argument] = [idem_key, idempotency.body_hash if idempotency else ""]
        args += [self._outbox_max_bytes, len(tasks)]
        for task in tasks:
            args += [task.id, task.tenant, task.type.value, task.priority.value, task.input, task.labels]
            args += [task.parent_id or "", task.timeout_s, task.max_attempts, int(task.delay_s * 1000)]
            args.append(task.trace or "")
            args.append("" if task.budget_tokens is None else task.budget_tokens)
        return args

    async def knows_key(self, tenant: str, key: str) -> bool:
        """See `Ledger.knows_key`."""
        return bool(await answer(self._redis.exists(keys.idempotency(tenant, key))))

    async def get(self, tenant: str, task_id: str) -> Task:
        """See `Ledger.get`."""
        values = await answer(self._redis.hmget(keys.task(task_id), list(RESULT_FIELDS)))
        row = from_values(RESULT_FIELDS, values)
        if row.get("tenant") != tenant.encode():
            raise TaskNotFound("no such task")
        return task_of(row)

    async def list(self, tenant: str, wanted: TaskFilter, limit: int, cursor: str | None) -> TaskPage:
        """See `Ledger.list`."""
        return await self._lists.page(tenant, wanted, limit, cursor)

    async def cancel(self, tenant: str, task_id: str, key: str | None = None) -> TaskState:
        """See `Ledger.cancel`. Without a key the call has one of its own, for the driver's repetitions."""
        args: list[Argument] = [task_id, tenant, self._partitions, key or secrets.token_hex(8)]
        return _decided(await self._scripts.run("cancel", args), "cancelled")

    async def replay(self, tenant: str, task_id: str, key: str | None = None) -> TaskState:
        """See `Ledger.replay`."""
        reply = await self._scripts.run("replay", [task_id, tenant, key or secrets.token_hex(8)])
        if reply[0] == b"queue_full":
            raise queue_full(self._caps, tenant)
        return _decided(reply, "replayed")

    async def claim(
        self, task_id: str, worker: str, claim_id: str, *, room: Collection[int] = keys.COMPANY
    ) -> ClaimedTask | None:
        """See `Ledger.claim`."""
        reply = await self._scripts.run("claim", [task_id, worker, claim_id, "".join(map(str, room))])
        if reply[0] == b"no_lease":
            raise StaleClaim("the worker holds no lease")
        if reply[0] != b"claimed":
            return None
        _, row, *journal = reply
        task = task_of({"id": task_id.encode(), **from_values(CLAIM_FIELDS[: len(row)], row)})
        claim = Claim(task_id, task.type, worker, task.fence, claim_id)
        return ClaimedTask(task, claim, from_pairs(journal[0]) if journal else {})

    async def state_of(self, task_id: str) -> TaskState | None:
        """See `Ledger.state_of`."""
        state = await answer(self._redis.hget(keys.task(task_id), "state"))
        return None if state is None else STATES[state]

    async def record_step(
        self, claim: Claim, name: str, value: bytes, call: ModelCall | None, *, paid: bool = False
    ) -> None:
        """See `Ledger.record_step`."""
        if call is None:
            script, spent = ("record_call", [""]) if paid else ("record_step", [])
            await self._fenced(script, claim, [name, value, *spent])
            return
        args: list[Argument] = [name, value, call_text(call), call.input_tokens, call.output_tokens, call.usd]
        await self._fenced("record_call", claim, [*args, claim.type.value, call.model])

    async def begin_call(self, claim: Claim, name: str) -> bool:
        """See `Ledger.begin_call`."""
        return bool(await self._fenced("begin_call", claim, [name, claim.type.value]) == 1)

    async def count_failed_call(self, model: str, code: str, *, own: bool = False) -> None:
        """See `Ledger.count_failed_call`."""
        await self._scripts.run("count_failed_call", [model, code, int(own)])

    async def suspect(self, claim: Claim) -> None:
        """See `Ledger.suspect`."""
        await self._fenced("suspect", claim, [])

    async def emit(self, claim: Claim, kind: str, data: bytes) -> None:
        """See `Ledger.emit`."""
        await self._fenced("emit", claim, [kind, data])

    async def progress(self, claim: Claim, progress: Progress) -> None:
        """See `Ledger.progress`."""
        text = orjson.dumps({"done": progress.done, "total": progress.total, "note": progress.note})
        await self._fenced("emit", claim, ["progress", text, "progress", text])

    async def finish(self, claim: Claim, outcome: Outcome) -> TaskState:
        """See `Ledger.finish`."""
        error = outcome.error
        counts = " ".join(f"{name} {n!r}" for name, n in outcome.counts.items())
        args: list[Argument] = [outcome.kind, self._partitions, outcome.result or b"", counts]
        if error or outcome.kind == "retry":
            args += [error.code, error.message, int(error.retryable)] if error else ["", "", 0]
            args.append(int(outcome.retry_delay_s * 1000))
        return STATES[await self._fenced("finish", claim, args)]

    async def hand_back(self, claim: Claim, *, crashed: bool = False) -> None:
        """See `Ledger.hand_back`."""
        await self._fenced("hand_back", claim, [self._partitions, int(crashed)])

    async def _fenced(self, script: str, claim: Claim, args: Sequence[Argument]) -> Any:
        reply = await self._scripts.run(script, [claim.task_id, claim.fence, claim.claim_id, *args])
        if not reply:
            raise StaleClaim(f"another attempt owns task {claim.task_id}")
        return reply

    async def renew_lease(self, worker: WorkerRecord, heard: Sequence[str] = ()) -> Sequence[str]:
        """See `Ledger.renew_lease`."""
        cancelled = await self._scripts.run("renew_lease", [worker.id, self._lease_ms, worker_text(worker), *heard])
        return [attempt.decode() for attempt in cancelled or ()]

    async def strays(self, worker: str, known: Collection[str]) -> Sequence[Claim]:
        """See `Ledger.strays`."""
        owned = {raw.decode() for raw in await answer(self._redis.smembers(keys.owned(worker)))}
        ids = sorted(owned.difference(known))[: keys.MAX_PER_CALL]
        async with self._redis.pipeline(transaction=False) as pipe:
            for task_id in ids:
                pipe.hmget(keys.task(task_id), "state", "worker", "type", "fence", "claim")
            rows = await answer(pipe.execute())
        return [
            Claim(task_id, WorkerType(row[2].decode()), worker, int(row[3]), row[4].decode())
            for task_id, row in zip(ids, rows, strict=True)
            if row[:2] == [TaskState.RUNNING.value.encode(), worker.encode()]
        ]

    async def end_lease(self, worker: str) -> None:
        """See `Ledger.end_lease`."""
        await self._scripts.run("end_lease", [worker])

    async def events(self, tenant: str, task_id: str, after: str, block_ms: int) -> Sequence[TaskEvent]:
        """See `Ledger.events`."""
        if await answer(self._redis.hget(keys.task(task_id), "tenant")) != tenant.encode():
            raise TaskNotFound("no such task")
        name = keys.events(task_id)
        client = self._blocking if block_ms else self._redis
        reply = await answer(client.xread({name: after}, count=500, block=block_ms or None))
        entries = reply_entries(reply, name)
        return [
            TaskEvent(entry_id.decode(), fields[b"kind"].decode(), orjson.loads(fields[b"data"]))
            for entry_id, fields in entries
        ]

    async def snapshot(self) -> LedgerSnapshot:
        """See `Ledger.snapshot`."""
        return await read_snapshot(self._redis, self._partitions)

    async def add_counters(self, deltas: Mapping[str, float]) -> None:
        """See `Ledger.add_counters`."""
        await self._scripts.run("add_counters", [part for pair in deltas.items() for part in pair])

    async def ping(self) -> None:
        """See `Ledger.ping`."""
        await answer(asyncio.wait_for(self._redis.ping(), PING_TIMEOUT_S))

    async def close(self) -> None:
        """See `Ledger.close`."""
        await self._redis.aclose(close_connection_pool=True)
        await self._blocking.aclose(close_connection_pool=True)


def _decided(reply: Sequence[bytes], what: str) -> TaskState:
    if reply[0] == b"missing":
        raise TaskNotFound("no such task")
    if reply[0] == b"conflict":
        raise StateConflict(f"a task that is {reply[1].decode()} cannot be {what}")
    return STATES[reply[0]]
