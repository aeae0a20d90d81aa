"""Server-sent events: the whole story, resumed without a gap, ended with the task."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import Outcome
from codeforge.task import Task, TaskEvent, TaskFailure
from tests.patience import PATIENCE_S
from tests.unit.api.door import Door, opened, problem_of

pytestmark = pytest.mark.anyio


def parsed(answer: httpx.Response) -> list[tuple[str, str, Any]]:
    """(id, kind, data) of each event."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    events = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return events


async def story(door: Door, task_id: str, after: str | None = None) -> httpx.Response:
    async with asyncio.timeout(PATIENCE_S):
        headers = {} if after is None else {"Last-Event-ID": after}
        return await door.http.get(f"/tasks/{task_id}/events", headers=headers)


async def test_ended_task_tells_its_whole_story_and_the_stream_ends(door: Door) -> None:
    task_id = await door.submitted()
    claim = (await door.claimed(task_id)).claim
    await door.ledger.emit(claim, "page", b'{"links":[],"text":"a\\nb"}')
    await door.ledger.finish(claim, Outcome("failed", error=TaskFailure("x", "why", False)))
    events = parsed(await story(door, task_id))
    assert [kind for _, kind, _ in events] == ["queued", "running", "page", "failed"]
    assert events[2][2] == {"links": [], "text": "a\nb"}
    assert events[3][2]["error"] == {"code": "x", "message": "why", "retryable": False}


async def test_nothing_on_the_way_keeps_events_back(door: Door) -> None:
    headers = (await door.http.head(f"/tasks/{await door.submitted()}/events")).headers
    assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-store", "no")


async def test_stream_follows_a_task_to_its_end(door: Door) -> None:
    task_id = await door.submitted()
    stream = asyncio.create_task(story(door, task_id))
    await asyncio.sleep(0)
    await door.finished(task_id)
    assert [kind for _, kind, _ in parsed(await stream)] == ["queued", "running", "succeeded"]


async def test_reader_resumes_after_each_event_without_a_gap(door: Door) -> None:
    task_id = await door.submitted()
    await door.finished(task_id)
    events = parsed(await story(door, task_id))
    for index, (event_id, _, _) in enumerate(events[:-1]):
        assert parsed(await story(door, task_id, after=event_id)) == events[index + 1 :]
    by_query = await door.http.get(f"/tasks/{task_id}/events", params={"last_event_id": events[0][0]})
    assert parsed(by_query) == events[1:]


async def test_reader_that_has_seen_the_end_is_told_to_stop(door: Door) -> None:
    task_id = await door.submitted()
    await door.finished(task_id)
    last = parsed(await story(door, task_id))[-1][0]
    answer = await story(door, task_id, after=last)
    assert (answer.status_code, answer.content) == (204, b"")


class Watched(MemoryLedger):
    """Tells when a reader waits for events, after it got those that were there."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = asyncio.Event()

    async def events(self, tenant: str, task_id: str, after: str, block_ms: int) -> Sequence[TaskEvent]:
        if block_ms:
            self.waited.set()
        return await super().events(tenant, task_id, after, block_ms)


class EndsBetweenReads(MemoryLedger):
    """The task ends right after its events were read."""

    async def events(self, tenant: str, task_id: str, after: str, block_ms: int) -> Sequence[TaskEvent]:
        found = await super().events(tenant, task_id, after, block_ms)
        if not found and not self.rows[task_id].task.state.terminal:
            await self.cancel(tenant, task_id)
        return found

    async def get(self, tenant: str, task_id: str) -> Task:
        task = await super().get(tenant, task_id)
        assert task.state.terminal
        return task


async def test_end_between_two_reads_is_not_missed() -> None:
    async with opened(EndsBetweenReads()) as door:
        task_id = await door.submitted()
        seen = door.ledger.rows[task_id].events[-1].id
        assert [kind for _, kind, _ in parsed(await story(door, task_id, after=seen))] == ["cancelled"]


async def test_replayed_task_goes_on(door: Door) -> None:
    task_id = await door.submitted()
    await door.finished(task_id, Outcome("failed", error=TaskFailure("x", "why", False)))
    await door.ledger.replay("default", task_id)
    stream = asyncio.create_task(story(door, task_id))
    await asyncio.sleep(0)
    await door.finished(task_id)
    kinds = [kind for _, kind, _ in parsed(await stream)]
    assert kinds == ["queued", "running", "failed", "queued", "running", "succeeded"]


async def test_quiet_stream_sends_a_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.api.task_reads.BLOCK_MS", 1)
    ledger = Watched()
    async with opened(ledger) as door:
        task_id = await door.submitted()
        stream = asyncio.create_task(story(door, task_id))
        for _ in range(3):
            ledger.waited.clear()
            await ledger.waited.wait()
        await door.finished(task_id)
        answer = await stream
    assert ": waiting\n\n" in answer.text
    assert parsed(answer)[-1][1] == "succeeded"


async def test_stream_that_is_ahead_of_all_events_ends_with_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.api.task_reads.BLOCK_MS", 1)
    ledger = Watched()
    async with opened(ledger) as door:
        task_id = await door.submitted()
        stream = asyncio.create_task(story(door, task_id, after="9999999999999-0"))
        async with asyncio.timeout(PATIENCE_S):
            await ledger.waited.wait()
        await door.finished(task_id)
        assert parsed(await stream) == []


async def test_stream_whose_ledger_goes_away_says_so_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.api.task_reads.BLOCK_MS", 1)
    ledger = Watched()
    async with opened(ledger) as door:
        stream = asyncio.create_task(story(door, await door.submitted()))
        await ledger.waited.wait()
        ledger.down = True
        assert (await stream).text.endswith(": ledger_unavailable\n\n")


@pytest.mark.parametrize("position", ["x", "-1", "1-", "1-x", "1-1-1", "٣", str(2**64), f"1-{2**64}", "1" * 41])
async def test_position_that_is_no_event_id_is_named(door: Door, position: str) -> None:
    task_id = await door.submitted()
    answer = await door.http.get(f"/tasks/{task_id}/events", params={"last_event_id": position})
    assert problem_of(answer, 422)["field"] == "Last-Event-ID"


async def test_one_stream_too_many_is_refused_until_another_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.api.task_reads.MAX_STREAMS", 1)
    ledger = Watched()
    async with opened(ledger) as door:
        task_id = await door.submitted()
        stream = asyncio.create_task(story(door, task_id))
        await ledger.waited.wait()
        assert problem_of(await story(door, task_id), 503)["code"] == "too_many_streams"
        await door.finished(task_id)
        await stream
        assert (await story(door, task_id)).status_code == 200
        assert (await story(door, task_id)).status_code == 200


async def test_stream_of_a_client_that_left_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.api.task_reads.MAX_STREAMS", 1)
    ledger = Watched()
    async with opened(ledger) as door:
        task_id = await door.submitted()
        stream = asyncio.create_task(story(door, task_id))
        await ledger.waited.wait()
        stream.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stream
        await door.finished(task_id)
        assert (await story(door, task_id)).status_code == 200
