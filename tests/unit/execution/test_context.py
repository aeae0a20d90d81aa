"""What an agent asks of the service: steps are paid for once, and their cost is counted."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from codeforge.agent import ANY_TERMS, AgentContext, FetchTerms, Message, ModelRequest, SearchReply
from codeforge.errors import FetchError, ModelError, OutOfTime, TaskError
from codeforge.execution.control import AttemptControl
from codeforge.ledger.memory import MemoryLedger
from codeforge.ledger.port import ClaimedTask
from codeforge.results import Page, ResultModel
from codeforge.task import Claim, ModelCall, Progress, TaskState, Usage
from codeforge.worker_types import WorkerType
from tests.unit.execution.bench import EMPTY, Bench, Model, ScriptedAgent, Web, held_lease

pytestmark = pytest.mark.anyio

REQUEST = ModelRequest(messages=[Message(role="user", content="hello")])
URL = "https://example.org/"


def doing(*calls: Callable[[AgentContext], Awaitable[object]]) -> Callable[[AgentContext], Awaitable[ResultModel]]:
    """An agent that makes these calls one after another."""

    async def act(ctx: AgentContext) -> ResultModel:
        for call in calls:
            await call(ctx)
        return EMPTY

    return act


async def fail(ctx: AgentContext) -> None:
    raise TaskError("once more", retryable=True)


async def run_on(bench: Bench, claimed: ClaimedTask, *calls: Callable[[AgentContext], Awaitable[object]]) -> None:
    await bench.runner.run(claimed, ScriptedAgent(doing(*calls)), AttemptControl(held_lease()))


async def next_attempt(bench: Bench, task_id: str) -> ClaimedTask:
    """The task again, as a client's replay brings it."""
    if (await bench.ledger.get("acme", task_id)).state is TaskState.QUEUED:
        await bench.ledger.cancel("acme", task_id)
    await bench.ledger.replay("acme", task_id)
    return await bench.claim(task_id)


async def test_finished_step_is_replayed_and_not_run_again() -> None:
    bench, runs, values = Bench(), [], []

    async def search() -> SearchReply:
        runs.append(1)
        return SearchReply(hits=[], warnings=[f"run {len(runs)}"])

    async def step(ctx: AgentContext) -> None:
        values.append(await ctx.step("search", search, SearchReply))

    claimed = await bench.claim()
    await run_on(bench, claimed, step, fail)
    await run_on(bench, await next_attempt(bench, claimed.task.id), step)
    assert [value.warnings for value in values] == [["run 1"], ["run 1"]]
    assert len(runs) == 1
    assert (await bench.ledger.get("acme", claimed.task.id)).state is TaskState.SUCCEEDED


async def test_failed_step_runs_again() -> None:
    bench = Bench(model=Model(fails=[ModelError("busy", retryable=True)]))
    claimed = await bench.claim()
    for claim in (claimed, None):
        again = claim or await next_attempt(bench, claimed.task.id)
        await run_on(bench, again, lambda ctx: ctx.model("ask", REQUEST))
    assert bench.model is not None
    assert len(bench.model.calls) == 2


async def test_journal_of_another_version_ends_failed() -> None:
    bench = Bench()
    claimed = await bench.claim()
    await bench.ledger.record_step(claimed.claim, "ask", b'{"of":"another version"}', None)
    await bench.ledger.hand_back(claimed.claim)
    await run_on(bench, await bench.claim(claimed.task.id), lambda ctx: ctx.model("ask", REQUEST))
    task = await bench.ledger.get("acme", claimed.task.id)
    assert (task.state, task.error and task.error.code) == (TaskState.FAILED, "journal_mismatch")
    assert bench.model is not None
    assert bench.model.calls == []


async def test_changed_request_is_a_step_of_its_own_and_is_reported() -> None:
    bench = Bench()
    claimed = await bench.claim()
    await run_on(bench, claimed, lambda ctx: ctx.model("ask", REQUEST), fail)
    changed = REQUEST.model_copy(update={"temperature": 0.9})
    for _ in range(2):  # the second replay finds the changed request's own answer
        again = await next_attempt(bench, claimed.task.id)
        await run_on(bench, again, lambda ctx: ctx.model("ask", changed), fail)
    assert bench.model is not None
    keys = [key for key, _ in bench.model.calls]
    assert len(keys) == 2
    assert keys[0] == f"{claimed.task.id}:ask"
    assert keys[1].startswith(f"{claimed.task.id}:ask~")
    kinds = [event.kind for event in bench.ledger.rows[claimed.task.id].events]
    assert "journal_mismatch" in kinds


async def test_nothing_is_paid_for_under_a_stale_claim() -> None:
    bench = Bench()
    claimed = await bench.claim()
    bench.ledger.rows[claimed.task.id].claim_id = "of another worker"
    await run_on(bench, claimed, lambda ctx: ctx.model("ask", REQUEST))
    assert bench.model is not None
    assert bench.model.calls == []


class FillsUp(Web):
    """Its ledger's memory is full once it has been paid, and has room again when the answer is kept or refused."""

    ledger: MemoryLedger

    async def fetch(self, url: str, *, mode: str, terms: FetchTerms = ANY_TERMS) -> Page:
        assert terms.before_payment is not None
        await terms.before_payment()
        self.ledger.overfull = True
        return await super().fetch(url, mode=mode, terms=terms)

    async def search(self, query: str, *, provider: str, limit: int) -> SearchReply:
        self.ledger.overfull = True
        return await super().search(query, provider=provider, limit=limit)


@pytest.mark.parametrize(
    "buy",
    [
        lambda ctx: ctx.web_search("search", "bread", provider="auto", limit=1),
        lambda ctx: ctx.fetch(URL, mode="rendered"),
    ],
)
async def test_what_was_bought_is_kept_though_the_memory_is_full_and_not_bought_again(
    buy: Callable[[AgentContext], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.execution.patience.PATIENCE_S", 0.0)
    web = FillsUp()
    bench = Bench(web=web)
    web.ledger = bench.ledger
    claimed = await bench.claim()
    await run_on(bench, claimed, buy, fail)
    bench.ledger.overfull = False
    await run_on(bench, await next_attempt(bench, claimed.task.id), buy)
    assert (await bench.ledger.get("acme", claimed.task.id)).state is TaskState.SUCCEEDED
    assert len(bench.web.fetched + bench.web.queries) == 1


@pytest.mark.parametrize("why", ["stale", "full"])
async def test_no_search_is_paid_for_that_could_not_be_kept(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.execution.patience.PATIENCE_S", 0.0)
    bench = Bench()
    claimed = await bench.claim()
    if why == "stale":
        bench.ledger.rows[claimed.task.id].claim_id = "of another worker"
    bench.ledger.overfull = why == "full"
    await run_on(bench, claimed, lambda ctx: ctx.web_search("search", "bread", provider="auto", limit=1))
    assert bench.web.queries == []


async def test_step_name_used_twice_is_a_bug_of_the_agent() -> None:
    caught = []

    async def twice(ctx: AgentContext) -> None:
        await ctx.web_search("same", "a", provider="auto", limit=1)
        with pytest.raises(ValueError, match="'same' was used twice") as error:
            await ctx.web_search("same", "b", provider="auto", limit=1)
        caught.append(error)

    bench = Bench()
    await bench.attempt(doing(twice))
    assert (bench.web.queries, len(caught)) == (["a"], 1)


async def test_step_over_the_limit_ends_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.execution.context.MAX_STEP_BYTES", 10)
    bench = Bench()
    claimed = await bench.claim()
    await run_on(bench, claimed, lambda ctx: ctx.model("ask", REQUEST))
    task = await bench.ledger.get("acme", claimed.task.id)
    assert (task.state, task.error and task.error.code) == (TaskState.FAILED, "step_too_large")
    assert bench.ledger.rows[task.id].journal == {}


async def test_model_call_carries_its_key_and_fence_and_is_counted() -> None:
    bench = Bench()
    task = await bench.attempt(doing(lambda ctx: ctx.model("ask", REQUEST), lambda ctx: ctx.model("again", REQUEST)))
    assert bench.model is not None
    assert bench.model.calls == [(f"{task.id}:ask", 1), (f"{task.id}:again", 1)]
    assert task.usage == Usage(20, 10, 0.5)
    assert bench.ledger.rows[task.id].calls[0] == ModelCall("ask", "m", 10, 5, 0.25, 7)
    assert bench.ledger.counters["llm_requests:m:ok"] == 2


@pytest.mark.parametrize(
    ("asked", "own", "label"),
    [(None, "m", "m"), ("m", "m", "m"), (None, None, "default"), ("made-up", "m", "other")],
)
async def test_failed_model_call_is_counted_under_the_model_that_was_asked_for(
    asked: str | None, own: str | None, label: str
) -> None:
    bench = Bench(model=Model(fails=[ModelError("no", code="model_refused")], default_model=own))
    request = REQUEST.model_copy(update={"model": asked})
    task = await bench.attempt(doing(lambda ctx: ctx.model("ask", request)))
    assert (task.state, task.error and task.error.code) == (TaskState.FAILED, "model_refused")
    assert bench.ledger.counters[f"llm_requests:{label}:model_refused"] == 1


async def test_model_call_without_a_model_ends_failed() -> None:
    task = await Bench(model=None).attempt(doing(lambda ctx: ctx.model("ask", REQUEST)))
    assert (task.state, task.error and task.error.code) == (TaskState.FAILED, "model_not_configured")


async def test_failure_of_a_url_that_may_pass_is_not_journaled() -> None:
    bench = Bench(web=Web(fails=[FetchError("slow", code="timeout", url=URL, retryable=True)]))
    claimed = await bench.claim()
    await run_on(bench, claimed, lambda ctx: ctx.fetch(URL))
    assert (await bench.ledger.get("acme", claimed.task.id)).state is TaskState.QUEUED
    assert bench.ledger.rows[claimed.task.id].journal == {}
    await run_on(bench, await next_attempt(bench, claimed.task.id), lambda ctx: ctx.fetch(URL))
    assert bench.web.fetched == [URL, URL]


@pytest.mark.parametrize(("share", "kind"), [(0.0, OutOfTime), (0.9, FetchError)])
async def test_failure_once_the_task_s_time_is_over_is_told_apart(
    share: float, kind: type[FetchError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.execution.context.FETCHING_SHARE", share)
    failed: list[FetchError] = []

    async def act(ctx: AgentContext) -> ResultModel:
        with pytest.raises(FetchError) as caught:
            await ctx.fetch(URL)
        failed.append(caught.value)
        return EMPTY

    bench = Bench(web=Web(fails=[FetchError("too slow", code="timeout", url=URL, retryable=True)]))
    await bench.attempt(act)
    assert [(type(error), error.code, error.url) for error in failed] == [(kind, "timeout", URL)]


async def test_failure_of_a_url_for_good_is_replayed() -> None:
    bench = Bench(web=Web(fails=[FetchError("gone", code="http_status", url=URL)]))
    errors: list[FetchError] = []

    async def look(ctx: AgentContext) -> None:
        with pytest.raises(FetchError) as caught:
            await ctx.fetch(URL)
        errors.append(caught.value)

    claimed = await bench.claim()
    await run_on(bench, claimed, look, fail)
    await run_on(bench, await next_attempt(bench, claimed.task.id), look)
    assert bench.web.fetched == [URL]
    assert [(error.code, error.message, error.url, error.retryable) for error in errors] == [
        ("http_status", "gone", URL, False)
    ] * 2


async def test_page_is_journaled() -> None:
    bench, pages = Bench(), []

    async def look(ctx: AgentContext) -> None:
        pages.append(await ctx.fetch(URL))

    claimed = await bench.claim()
    await run_on(bench, claimed, look, fail)
    await run_on(bench, await next_attempt(bench, claimed.task.id), look)
    assert pages[0] == pages[1]
    assert isinstance(pages[0], Page)
    assert bench.web.fetched == [URL]


async def test_events_and_progress_reach_the_client() -> None:
    bench = Bench()
    task = await bench.attempt(
        doing(lambda ctx: ctx.emit("page", {"links": []}), lambda ctx: ctx.progress(1, 3, "n" * 1_000))
    )
    events = await bench.ledger.events("acme", task.id, "0", 0)
    assert [event.kind for event in events] == ["queued", "running", "page", "progress", "succeeded"]
    assert events[2].data == {"links": []}
    assert task.progress == Progress(1, 3, "n" * 200)


async def test_progress_does_not_go_back_while_a_later_attempt_catches_up() -> None:
    bench = Bench()
    claimed = await bench.claim()
    await bench.ledger.progress(claimed.claim, Progress(2, 4))
    await bench.ledger.hand_back(claimed.claim)
    again = await bench.claim(claimed.task.id)
    await run_on(bench, again, lambda ctx: ctx.progress(1, 4), lambda ctx: ctx.progress(3, 4))
    assert await told_progress(bench, claimed.task.id) == [2, 3]


async def test_reports_of_progress_do_not_overtake_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, first, told = Bench(), asyncio.Event(), asyncio.Event()
    tell = bench.ledger.progress

    async def stalled(claim: Claim, progress: Progress) -> None:
        if progress.done == 1:
            first.set()
            await told.wait()
        await tell(claim, progress)

    async def report(ctx: AgentContext) -> None:
        async with asyncio.TaskGroup() as reports:
            reports.create_task(ctx.progress(1, 4))
            await first.wait()
            for done in (2, 4, 3):
                reports.create_task(ctx.progress(done, 4))
            await asyncio.sleep(0)
            told.set()

    monkeypatch.setattr(bench.ledger, "progress", stalled)
    task = await bench.attempt(doing(report))
    assert await told_progress(bench, task.id) == [1, 4]  # one report for those that waited


async def told_progress(bench: Bench, task_id: str) -> list[int]:
    events = await bench.ledger.events("acme", task_id, "0", 0)
    return [event.data["done"] for event in events if event.kind == "progress"]


async def test_agent_sees_its_task_as_claimed() -> None:
    seen = []

    async def look(ctx: AgentContext) -> None:
        seen.append((ctx.task.type, ctx.task.state, ctx.task.attempts, ctx.cancelled))

    await Bench().attempt(doing(look))
    assert seen == [(WorkerType.SCRAPE, TaskState.RUNNING, 1, False)]
