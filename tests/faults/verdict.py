"""What a scenario left, counted: the ledger, the log of paid calls, the graph and the vectors against each other."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx
from neo4j import GraphDatabase

from codeforge.ledger.rows import call_of, task_of
from codeforge.records.task import merged, records_of
from codeforge.stores.ports import GraphBatch
from tests.faults.paid_model import MICRO_USD
from tests.faults.rig import Rig
from tests.servers.celery_worker import wait_until

TERMINAL = ("succeeded", "failed", "cancelled", "dead")
PAGE = 5_000


@dataclass
class Figures:
    """One scenario's accounts. `predicted` and `found` count rows by label or kind. `gone` are tasks that went with a
    second that the ledger lost, as it may; they are not among the `accepted`."""

    accepted: int = 0
    gone: int = 0
    states: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    second_results: int = 0
    predicted: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    unexpected: int = 0
    duplicates: int = 0
    calls: int = 0
    repeated_though_journaled: int = 0
    residual_repeats: int = 0
    unlogged: int = 0
    most_in_flight: int = 0
    faults: str = ""
    seconds: float = 0.0
    recovery_s: list[float] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """What must be zero and is not."""
        names = (
            "lost", "second_results", "missing", "unexpected", "duplicates", "repeated_though_journaled", "unlogged"
        )  # fmt: skip
        return [f"{name} {getattr(self, name)}" for name in names if getattr(self, name)]


def wait_settled(rig: Rig, timeout_s: float) -> None:
    """Until every accepted task has ended and is stored, or the time is over (the figures then tell what is not)."""

    def settled() -> bool:
        return all(
            (row[0] in TERMINAL and row[1] == "1") or (row[0] is None and task_id in rig.in_doubt)
            for task_id, row in rig.rows("state", "stored").items()
        )

    try:
        wait_until(settled, "all ended and stored", timeout_s)
    except AssertionError:
        return


def judge(rig: Rig, figures: Figures) -> Figures:
    """Fills in the figures of what is there now."""
    rows = rig.rows("state", "stored")
    gone = {task_id for task_id, row in rows.items() if row[0] is None and task_id in rig.in_doubt}
    rig.accepted = [task_id for task_id in rig.accepted if task_id not in gone]
    rows = {task_id: rows[task_id] for task_id in rig.accepted}
    figures.accepted, figures.gone = len(rig.accepted), len(gone)
    figures.states = dict(Counter(str(state) for state, _ in rows.values()))
    figures.lost = sum(state not in TERMINAL or stored != "1" for state, stored in rows.values())
    figures.most_in_flight = rig.model.most_in_flight
    _outcomes(rig, figures)
    _paid(rig, figures)
    _stored(rig, figures)
    return figures


def _outcomes(rig: Rig, figures: Figures) -> None:
    for task_id in rig.accepted:
        kinds = [fields["kind"] for _, fields in rig.redis.xrange(f"cf:events:{task_id}")]
        figures.second_results += max(0, sum(kind in TERMINAL for kind in kinds) - 1)


def _paid(rig: Rig, figures: Figures) -> None:
    """An answer costs its call's number, so a journaled cost names the call that was paid and kept."""
    by_key: defaultdict[str, list[int]] = defaultdict(list)
    for call in rig.model.logged():
        by_key[call["key"]].append(call["n"])
    figures.calls = sum(len(numbers) for numbers in by_key.values())
    figures.residual_repeats = figures.calls - len(by_key)
    for task_id in rig.accepted:
        for text in rig.redis.lrange(f"cf:calls:{task_id}", 0, -1):
            call = json.loads(text)
            kept = round(call["usd"] * MICRO_USD)
            numbers = by_key.get(f"{task_id}:{call['step']}", [])
            figures.unlogged += kept not in numbers
            later = sum(number > kept for number in numbers)
            figures.repeated_though_journaled += later
            figures.residual_repeats -= later


def _stored(rig: Rig, figures: Figures) -> None:
    predicted = _predicted(rig)
    found = _graph_rows(rig) | {"point": _points(rig)}
    for kind in sorted(predicted.keys() | found.keys()):
        wanted, there = set(predicted.get(kind, ())), found.get(kind, [])
        figures.predicted[kind], figures.found[kind] = len(wanted), len(there)
        figures.missing += len(wanted - set(there))
        figures.unexpected += len(set(there) - wanted)
        figures.duplicates += len(there) - len(set(there))


def _predicted(rig: Rig) -> dict[str, set[Any]]:
    """What the ledger's rows must have become, by label, relationship type and `point`."""
    rows: defaultdict[str, set[Any]] = defaultdict(set)
    with rig.engines.client(decode=False) as client:
        batches: list[GraphBatch] = []
        for task_id in rig.accepted:
            row = {name.decode(): value for name, value in client.hgetall(f"cf:task:{task_id}").items()}
            if not row:
                continue  # lost, and counted as such
            calls = [call_of(text) for text in client.lrange(f"cf:calls:{task_id}", 0, -1)]
            records = records_of(task_of(row), calls)
            batches.append(records.graph)
            rows["point"] |= {text.id for text in records.texts}
    whole = merged(batches)
    for node in whole.nodes:
        rows[node.label].add(node.id)
    for edge in whole.edges:
        rows[edge.type].add((edge.start[1], edge.end[1]))
    return dict(rows)


def _graph_rows(rig: Rig) -> dict[str, list[Any]]:
    graph = rig.engines.graph
    rows: defaultdict[str, list[Any]] = defaultdict(list)
    with GraphDatabase.driver(graph.uri, auth=(graph.user, graph.password.get_secret_value())) as driver:
        nodes, _, _ = driver.execute_query("MATCH (n) RETURN labels(n)[0] AS label, n.id AS id")
        edges, _, _ = driver.execute_query("MATCH (a)-[e]->(b) RETURN type(e) AS type, a.id AS a, b.id AS b")
    for record in nodes:
        rows[record["label"]].append(record["id"])
    for record in edges:
        rows[record["type"]].append((record["a"], record["b"]))
    return dict(rows)


def _points(rig: Rig) -> list[str]:
    ids: list[str] = []
    offset = None
    while True:
        body = {"limit": PAGE, "with_payload": False, "with_vector": False, "offset": offset}
        url = f"{rig.engines.vectors.url}/collections/codeforge/points/scroll"
        answer = httpx.post(url, json=body, trust_env=False, timeout=30.0).raise_for_status().json()["result"]
        ids += [point["id"] for point in answer["points"]]
        offset = answer["next_page_offset"]
        if offset is None:
            return ids
