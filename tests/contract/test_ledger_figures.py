"""What the ledger counts and measures: per task, per model, and with the trace that an example was made in."""

import asyncio
from dataclasses import asdict

import pytest

from codeforge.ledger.keys import MAX_MODEL_NAME, MAX_MODELS
from codeforge.ledger.port import Outcome
from codeforge.task import Claim, ModelCall
from codeforge.worker_types import WorkerType
from tests.contract.ledger_engines import FAILURE, SUCCESS, LedgerEngine

pytestmark = pytest.mark.anyio

A_WHILE_S = 0.02
SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = SAMPLED[:-2] + "00"


def counted(counters: dict[str, float], name: str) -> dict[str, float]:
    """The counters of one name, without it."""
    return {field.removeprefix(f"{name}:"): n for field, n in counters.items() if field.startswith(f"{name}:")}


async def call(cf: LedgerEngine, claim: Claim, model: str) -> None:
    """An answered call of ten tokens for a dollar."""
    await cf.ledger.record_step(claim, f"ask {model}", b"{}", ModelCall(f"ask {model}", model, 8, 2, 1.0, 5))


async def test_waits_and_runs_add_up_over_the_attempts(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    await asyncio.sleep(A_WHILE_S)
    first = await cf.claimed(task.id)
    await asyncio.sleep(A_WHILE_S)
    await cf.ledger.hand_back(first.claim)
    between = await cf.ledger.get("acme", task.id)
    await asyncio.sleep(A_WHILE_S)
    second = await cf.claimed(task.id)
    await asyncio.sleep(A_WHILE_S)
    await cf.ledger.finish(second.claim, SUCCESS)
    ended = await cf.ledger.get("acme", task.id)

    assert second.task.queued_at == between.queued_at
    due, back = first.task.queued_at or 0, between.queued_at or 0
    starts, ends = (first.task.started_at or 0, second.task.started_at or 0), (back, ended.finished_at or 0)
    waits = starts[0] - due, starts[1] - back
    runs = ends[0] - starts[0], ends[1] - starts[1]
    assert min(*waits, *runs) >= A_WHILE_S * 1000 - 1
    assert ended.wait_ms == sum(waits)
    assert ended.run_ms == sum(runs)


async def test_final_event_has_the_task_s_figures(cf: LedgerEngine) -> None:
    task = await cf.submitted()
    claimed = await cf.claimed(task.id)
    await call(cf, claimed.claim, "m")
    await cf.ledger.finish(claimed.claim, Outcome("failed", error=FAILURE))
    ended = await cf.ledger.get("acme", task.id)
    assert dict((await cf.ledger.events("acme", task.id, "0", 0))[-1].data) == {
        "state": "failed", "attempts": 1, "usage": {"input_tokens": 8, "output_tokens": 2, "usd": 1.0},
        "wait_s": ended.wait_ms / 1000, "run_s": ended.run_ms / 1000, "sandbox_peak_bytes": None,
        "error": asdict(FAILURE),
    }  # fmt: skip


async def test_models_beyond_the_limit_are_counted_together(cf: LedgerEngine) -> None:
    claim = (await cf.claimed((await cf.submitted()).id)).claim
    names = [f"org/m{number}:free" for number in range(MAX_MODELS + 5)]
    for name in [*names, names[0], "x" * (MAX_MODEL_NAME + 1)]:
        await cf.ledger.record_step(claim, name + str(len(name)), b"{}", ModelCall(name, name, 8, 2, 1.0, 5))
    await call(cf, claim, names[0])
    counters = dict((await cf.ledger.snapshot()).counters)
    own = {f"{name}:ok": 1.0 for name in names[:MAX_MODELS]}
    assert counted(counters, "llm_requests") == own | {f"{names[0]}:ok": 2.0, "other:ok": 6.0}
    assert counted(counters, "llm_tokens")["other:input"] == 48
    assert counted(counters, "llm_cost")["scrape:other"] == 6.0
    assert len(counted(counters, "llm_cost")) == MAX_MODELS + 1


async def test_name_that_no_service_answered_to_is_no_label(cf: LedgerEngine) -> None:
    claim = (await cf.claimed((await cf.submitted()).id)).claim
    await call(cf, claim, "real")
    for model in ("real", "default", "made-up", "made-up-2"):
        await cf.ledger.count_failed_call(model, "model_refused")
    assert counted(dict((await cf.ledger.snapshot()).counters), "llm_requests") == {
        "real:ok": 1, "real:model_refused": 1, "default:model_refused": 1, "other:model_refused": 2,
    }  # fmt: skip


async def test_operator_s_own_model_is_a_label_before_it_ever_answered(cf: LedgerEngine) -> None:
    for model in ("own", "x" * (MAX_MODEL_NAME + 1)):
        await cf.ledger.count_failed_call(model, "model_refused", own=True)
    await cf.ledger.count_failed_call("own", "model_unavailable")
    assert counted(dict((await cf.ledger.snapshot()).counters), "llm_requests") == {
        "own:model_refused": 1, "own:model_unavailable": 1, "other:model_refused": 1,
    }  # fmt: skip


async def test_traced_observations_are_kept_as_examples(cf: LedgerEngine) -> None:
    for trace in (SAMPLED, UNSAMPLED, None):
        task = await cf.submitted(trace=trace)
        claimed = await cf.claimed(task.id)
        assert claimed.task.trace == trace
        await cf.ledger.finish(claimed.claim, SUCCESS)
        examples = (await cf.ledger.snapshot()).exemplars
        assert {name.rpartition(":")[0] for name in examples} == {"wait:scrape", "duration:scrape"}
        assert {example.trace_id for example in examples.values()} == {SAMPLED[3:35]}
        waits = [example for name, example in examples.items() if name.startswith("wait:")]
        ended = await cf.ledger.get("acme", task.id)
        assert ended.started_at is not None
        if trace == SAMPLED:
            assert (waits[0].value_ms, waits[0].at_ms) == (ended.wait_ms, ended.started_at)


async def test_lease_that_ran_out_is_counted_and_one_that_was_ended_is_not(cf: LedgerEngine) -> None:
    for name in ("crashed", "idle", "orderly"):
        await cf.worker(name, WorkerType.SCRAPE)
    for name in ("crashed", "orderly"):
        await cf.claimed((await cf.submitted()).id, name)
    await cf.ledger.end_lease("orderly")
    await cf.expire_lease("crashed")
    await cf.expire_lease("idle")
    await cf.reaper.reap()
    counters = (await cf.ledger.snapshot()).counters
    assert (counters["leases_expired"], counters["attempts:scrape:worker_lost"]) == (2, 2)


async def test_what_a_result_counts_is_counted_once_and_only_with_a_success(cf: LedgerEngine) -> None:
    counts = {"reused:analysis": 1, "reuse_saved:tokens": 1_234, "reuse_saved_usd": 0.000123}
    first, second, failed = await cf.submitted(), await cf.submitted(), await cf.submitted()
    for task in (first, second):
        claim = (await cf.claimed(task.id)).claim
        outcome = Outcome("succeeded", result=b"{}", counts=counts)
        for _ in range(2):  # the same call again, because its answer was lost
            await cf.ledger.finish(claim, outcome)
    claim = (await cf.claimed(failed.id)).claim
    await cf.ledger.finish(claim, Outcome("failed", error=FAILURE, counts=counts))

    counters = (await cf.ledger.snapshot()).counters
    assert counters["reused:analysis"] == 2
    assert counters["reuse_saved:tokens"] == 2_468
    assert counters["reuse_saved_usd"] == pytest.approx(0.000246)
