"""Finding what a tenant's tasks found before."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from codeforge.errors import LedgerUnavailable, TaskError, TaskNotFound, VectorsUnavailable
from codeforge.execution import earlier as module
from codeforge.execution.earlier import MAX_RESULT_BYTES, StoredResults
from codeforge.ledger.memory import MemoryLedger
from codeforge.task import Task, TaskState, Usage
from codeforge.worker_types import WorkerType
from tests.unit.records.samples import FINISHED

pytestmark = pytest.mark.anyio

NOW_MS = 1_700_000_100_000
DONE = replace(
    FINISHED, id="done", type=WorkerType.ANALYSIS, result=b'{"report":""}', usage=Usage(70, 30, 0.25),
    created_at=NOW_MS - 5_500,
)  # fmt: skip
ASKING = replace(DONE, id="asking", state=TaskState.RUNNING, result=None)


@dataclass
class Finder:
    """Finds these tasks, whoever asks."""

    ids: list[str]
    error: VectorsUnavailable | None = None
    asked: list[tuple[str, Sequence[str], int]] = field(default_factory=list)

    async def answering(self, tenant: str, keys: Sequence[str], since: int, limit: int) -> list[str]:
        self.asked.append((tenant, keys, since))
        if self.error is not None:
            raise self.error
        return self.ids[:limit]

    async def close(self) -> None: ...


class Rows(MemoryLedger):
    """A ledger that holds these tasks."""

    def __init__(self, *tasks: Task, error: LedgerUnavailable | None = None, stuck: bool = False) -> None:
        super().__init__()
        self._rows, self._error, self.stuck = {task.id: task for task in tasks}, error, stuck

    async def get(self, tenant: str, task_id: str) -> Task:
        if self.stuck:
            await asyncio.Event().wait()
        if self._error is not None:
            raise self._error
        task = self._rows.get(task_id)
        if task is None or task.tenant != tenant:
            raise TaskNotFound("no such task")
        return task


def results(finder: Finder, ledger: Rows, age_s: float = 10.0) -> StoredResults:
    return StoredResults(finder, ledger, age_s, clock=lambda: NOW_MS / 1_000)


async def test_it_is_given_as_the_ledger_has_it() -> None:
    finder = Finder(["done"])
    (found,) = await results(finder, Rows(DONE)).find(ASKING, ["k1", "k2"])
    assert finder.asked == [("acme", ["k1", "k2"], NOW_MS - 10_000)]
    assert (found.id, found.result, found.tokens, found.usd) == ("done", '{"report":""}', 100, 0.25)
    assert (found.created_at, found.age_s) == (DONE.created_at, 5.5)


@pytest.mark.parametrize(
    "changed",
    [
        {"tenant": "rival"},
        {"type": WorkerType.DEBATE},
        {"state": TaskState.FAILED},
        {"result": None},
        {"result": b" " * (MAX_RESULT_BYTES + 1)},
        {"created_at": NOW_MS - 10_001},
        {"id": "another"},  # the ledger has let it go
    ],
)
async def test_what_the_store_is_wrong_about_is_left_out(changed: dict[str, object]) -> None:
    fine = replace(DONE, id="fine")
    found = await results(Finder(["done", "fine"]), Rows(replace(DONE, **changed), fine)).find(ASKING, ["k"])  # type: ignore[arg-type]
    assert [one.id for one in found] == ["fine"]


async def test_a_task_does_not_find_itself() -> None:
    assert await results(Finder(["asking"]), Rows(replace(DONE, id="asking"))).find(ASKING, ["k"]) == []


@pytest.mark.parametrize(
    ("finder", "ledger", "why"),
    [
        (Finder([], VectorsUnavailable("the vector store cannot be reached")), Rows(), "vector store"),
        (Finder(["done"]), Rows(error=LedgerUnavailable("the ledger cannot be reached")), "the ledger cannot"),
        (Finder(["done"]), Rows(stuck=True), "within 0.01 s"),
    ],
)
async def test_what_cannot_be_looked_up_is_said_within_seconds(
    finder: Finder, ledger: Rows, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_S", 0.01 if ledger.stuck else 60.0)
    with pytest.raises(TaskError, match=why) as caught:
        await results(finder, ledger).find(ASKING, ["k"])
    assert (caught.value.code, caught.value.retryable) == ("reuse_unavailable", False)
