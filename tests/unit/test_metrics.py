"""The ledger's counters as Prometheus metrics."""

from itertools import product

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition

from codeforge.ledger.keys import HISTOGRAM_BOUNDS_MS
from codeforge.ledger.port import Exemplar, LedgerSnapshot, QueueDepth
from codeforge.metrics import LedgerMetrics, observed
from codeforge.worker_types import WorkerType

EMPTY = QueueDepth(0, 0, 0, 0, 0, 0, 0.0)


def families(counters: dict[str, float], depths: dict[WorkerType, QueueDepth] | None = None) -> dict[str, Metric]:
    snapshot = LedgerSnapshot(depths or {}, 7, counters)
    collected = list(LedgerMetrics(snapshot).collect())
    assert len(collected) == len({family.name for family in collected})
    return {family.name: family for family in collected}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    """What has been counted; the rest is 0."""
    return {tuple(sample.labels.values()): sample.value for sample in family.samples if sample.value}


def test_counters_are_told_by_their_labels() -> None:
    found = families({"submitted:scrape": 3, "finished:scrape:dead": 1, "attempts:coding:worker_lost": 2})
    assert values(found["codeforge_tasks_submitted"]) == {("scrape",): 3}
    assert values(found["codeforge_tasks_finished"]) == {("scrape", "dead"): 1}
    assert values(found["codeforge_task_attempts"]) == {("coding", "worker_lost"): 2}
    assert found["codeforge_llm_requests"].samples == []


def test_what_has_not_happened_yet_is_a_zero_whose_increase_shows() -> None:
    found = families({})
    for name in (
        "codeforge_tasks_finished",
        "codeforge_task_attempts",
        "codeforge_store_errors",
        "codeforge_leases_expired",
    ):
        assert {sample.value for sample in found[name].samples} == {0.0}
    outcomes = {
        (sample.labels["type"], sample.labels["outcome"]) for sample in found["codeforge_tasks_finished"].samples
    }
    assert outcomes == set(product(WorkerType, ("succeeded", "failed", "cancelled", "dead")))


def test_what_was_reused_and_what_that_saved() -> None:
    counters = {
        "reused:analysis": 2.0,
        "reuse_saved:tokens": 900.0,
        "reuse_saved:fetches": 8.0,
        "reuse_saved_usd": 0.25,
    }
    found = families(counters)
    assert values(found["codeforge_results_reused"]) == {("analysis",): 2}
    assert values(found["codeforge_reuse_saved"]) == {("tokens",): 900, ("fetches",): 8}
    assert values(found["codeforge_reuse_saved_usd"]) == {(): 0.25}
    assert {sample.labels["what"] for sample in families({})["codeforge_reuse_saved"].samples} == {
        "fetches", "searches", "model_calls", "tokens",
    }  # fmt: skip


def test_name_of_a_model_may_hold_colons() -> None:
    found = families({
        "llm_requests:org/m:free:ok": 2, "llm_tokens:org/m:free:input": 10, "llm_cost:coding:org/m:free": 0.5,
    })  # fmt: skip
    assert values(found["codeforge_llm_requests"]) == {("org/m:free", "ok"): 2}
    assert values(found["codeforge_llm_tokens"]) == {("org/m:free", "input"): 10}
    assert values(found["codeforge_llm_cost_usd"]) == {("coding", "org/m:free"): 0.5}


def test_histogram_is_cumulative_with_its_count_and_sum_in_seconds() -> None:
    counters = {"hist:wait:scrape:1": 2.0, "hist:wait:scrape:4": 3.0, "hist:wait:scrape:13": 1.0}
    found = families(counters | {"hist:wait:scrape:sum": 9_000_250.0})["codeforge_task_queue_wait_seconds"]
    own = [sample for sample in found.samples if sample.labels["type"] == "scrape"]
    buckets = {sample.labels["le"]: sample.value for sample in own if sample.name.endswith("_bucket")}
    bounds = [repr(bound / 1000) for bound in HISTOGRAM_BOUNDS_MS]
    assert list(buckets) == [*bounds, "+Inf"]
    assert list(buckets.values()) == [2, 2, 2, *[5] * 9, 6]
    rest = {sample.name: sample.value for sample in own if not sample.name.endswith("_bucket")}
    assert rest == {
        "codeforge_task_queue_wait_seconds_count": 6,
        "codeforge_task_queue_wait_seconds_sum": 9_000.25,
    }


def test_bucket_shows_its_last_traced_observation() -> None:
    snapshot = LedgerSnapshot(
        {}, 0, {"hist:wait:scrape:2": 1.0}, exemplars={"wait:scrape:2": Exemplar("ab" * 16, 37.0, 5)}
    )
    family = {family.name: family for family in LedgerMetrics(snapshot).collect()}["codeforge_task_queue_wait_seconds"]
    found = {sample.labels["le"]: sample.exemplar for sample in family.samples if sample.exemplar}
    assert found == {"0.05": ({"trace_id": "ab" * 16}, 0.037, 0.005)}


def test_histograms_of_different_names_and_labels_do_not_mix() -> None:
    counters = {
        "hist:wait:scrape:1": 1.0, "hist:wait:coding:1": 2.0, "hist:duration:scrape:1": 4.0,
        "hist:projection:graph:1": 8.0,
    }  # fmt: skip
    found = families(counters)

    def counts(name: str) -> dict[str, float]:
        return {
            next(iter(sample.labels.values())): sample.value
            for sample in found[name].samples
            if sample.name.endswith("_count") and sample.value
        }

    assert counts("codeforge_task_queue_wait_seconds") == {"scrape": 1, "coding": 2}
    assert counts("codeforge_task_duration_seconds") == {"scrape": 4}
    assert counts("codeforge_projection_seconds") == {"graph": 8}


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 1), (0.01, 1), (0.011, 2), (1.0, 5), (7_200.0, 12), (7_200.1, 13)]
)
def test_observation_falls_into_the_first_bucket_that_holds_it(seconds: float, bucket: int) -> None:
    assert observed("projection", "graph", seconds) == {
        f"hist:projection:graph:{bucket}": 1,
        "hist:projection:graph:sum": pytest.approx(seconds * 1000),
    }


def test_depths_are_gauges_of_every_type() -> None:
    depths = dict.fromkeys(WorkerType, EMPTY) | {WorkerType.SCRAPE: QueueDepth(1, 2, 3, 4, 5, 6, 7.5)}
    found = families({}, depths)
    names = (
        "tasks_queued",
        "tasks_running",
        "tasks_delayed",
        "tasks_dead",
        "workers",
        "slots",
        "oldest_queued_seconds",
    )
    assert [values(found[f"codeforge_{name}"])["scrape",] for name in names] == [1, 2, 3, 4, 5, 6, 7.5]
    assert [values(found[f"codeforge_{name}"]).get(("debate",), 0) for name in names] == [0] * 7
    assert values(found["codeforge_outbox_lag"]) == {(): 7}


def test_batch_size_is_a_sum_and_a_count() -> None:
    family = families({"batch:count": 2, "batch:tasks": 30})["codeforge_projection_batch_size"]
    assert {sample.name: sample.value for sample in family.samples} == {
        "codeforge_projection_batch_size_count": 2,
        "codeforge_projection_batch_size_sum": 30,
    }


def test_no_name_needs_the_escaping_that_scrapes_leave_out() -> None:
    counters = {"llm_cost:coding:vendor/model.x:free": 0.1, "wait:scrape": 1.0}
    parts = LedgerMetrics(LedgerSnapshot(dict.fromkeys(WorkerType, EMPTY), 7, counters))
    assert exposition.generate_latest(parts, escaping=exposition.ALLOWUTF8) == exposition.generate_latest(parts)
