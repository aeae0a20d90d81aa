"""What every graph store promises: the fake, the embedded ArcadeDB and a real Neo4j."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from codeforge.errors import GraphUnavailable, RowRejected
from codeforge.stores.graph_model import MAX_EDGES_PER_NODE
from codeforge.stores.graph_rows import MAX_ID_BYTES
from codeforge.stores.ports import Edge, GraphBatch, GraphStore, Node, Scalar
from tests.contract.graph_engines import GraphEngine, opened

pytestmark = pytest.mark.anyio

End = tuple[str, str]


@pytest.fixture
def key() -> str:
    """Begins every id of a test: the engines keep what other tests wrote."""
    return f"{uuid4()}-"


def node(end: End, **props: Scalar) -> Node:
    return Node(*end, {"tenant": "acme", **props})


def ends(batch: GraphBatch | None) -> set[End]:
    assert batch is not None
    return {(found.label, found.id) for found in batch.nodes}


def triples(batch: GraphBatch | None) -> set[tuple[str, End, End]]:
    assert batch is not None
    return {(edge.type, edge.start, edge.end) for edge in batch.edges}


async def read(store: GraphStore, task_id: str, tenant: str = "acme", limit: int = 100) -> GraphBatch:
    found = await store.neighbourhood(tenant, task_id, limit)
    assert found is not None
    return found


async def test_prepare_may_be_repeated_and_run_at_once(graph_engine: GraphEngine) -> None:
    async with opened(graph_engine) as store, opened(graph_engine) as other:
        await asyncio.gather(*(each.prepare() for each in (store, other, store)))
        await store.ping()


async def test_a_node_written_twice_is_one_with_the_later_properties(graph_engine: GraphEngine, key: str) -> None:
    task = ("Task", f"{key}t")
    first: dict[str, Scalar] = {"state": "running", "attempts": 1, "usd": 0.25, "done": False, "tags": ["b", "a"]}
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([node(task, **first)], []))
        await store.write(GraphBatch([node(task, state="succeeded", attempts=2)], []))
        (found,) = (await read(store, task[1])).nodes
    assert found == node(task, **{**first, "state": "succeeded", "attempts": 2})
    assert [type(found.props[name]) for name in ("attempts", "usd", "done", "tags")] == [int, float, bool, list]
    assert await graph_engine.count_nodes("Task", key) == 1


async def test_an_older_fence_never_overwrites_a_newer_one(graph_engine: GraphEngine, key: str) -> None:
    """A projector that comes late, with an attempt that a replay has replaced, changes nothing."""
    task, call = ("Task", f"{key}t"), ("ModelCall", f"{key}c")
    newer = node(task, fence=3, state="succeeded")
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([newer], []))
        await store.write(GraphBatch([node(task, fence=2, state="failed"), node(call, step="a")], []))
        await store.write(GraphBatch([Node(*task)], []))  # a child hangs on to it
        assert (await read(store, task[1], limit=1)).nodes == [newer]
        assert await graph_engine.count_nodes("ModelCall", key) == 1  # the rest of the batch is written
        await store.write(GraphBatch([node(task, fence=3, state="succeeded", attempts=1)], []))  # once more
        await store.write(GraphBatch([node(task, fence=4, state="dead")], []))
        assert (await read(store, task[1], limit=1)).nodes == [node(task, fence=4, state="dead", attempts=1)]


async def test_tasks_are_read_in_pages_without_those_that_are_not_stored(graph_engine: GraphEngine, key: str) -> None:
    tasks = [node(("Task", f"{key}{number}"), state="dead") for number in range(5)]
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([*tasks, Node("Task", f"{key}parent"), node(("Document", f"{key}d"))], []))
        first = await store.tasks(key, 3)
        assert first == tasks[:3]
        rest = await store.tasks(first[-1].id, 100)
        assert [found for found in rest if found.id.startswith(key)] == tasks[3:]
        assert await store.tasks("~", 10) == []


async def test_none_removes_a_property_and_is_never_read(graph_engine: GraphEngine, key: str) -> None:
    task, document = ("Task", f"{key}t"), ("Document", f"{key}d")
    edge = Edge("FETCHED", task, document, {"status": 200, "note": "slow"})
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([node(task, title="old", url=None), node(document)], [edge]))
        await store.write(GraphBatch([node(task, title=None)], [Edge("FETCHED", task, document, {"note": None})]))
        found = await read(store, task[1])
    assert found.nodes[0].props == {"tenant": "acme"}
    assert found.edges == [Edge("FETCHED", task, document, {"status": 200})]


async def test_a_node_given_twice_in_a_batch_is_written_once(graph_engine: GraphEngine, key: str) -> None:
    task, document = ("Task", f"{key}t"), ("Document", f"{key}d")
    edge = Edge("FETCHED", task, document)
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([node(task, a=1, b=1), node(document), node(task, b=2)], [edge, edge]))
        found = await read(store, task[1])
    assert dict(found.nodes[0].props) == {"tenant": "acme", "a": 1, "b": 2}
    assert await graph_engine.count_edges("FETCHED", key) == 1


async def test_an_edge_written_twice_is_one_with_the_later_properties(graph_engine: GraphEngine, key: str) -> None:
    task, document = ("Task", f"{key}t"), ("Document", f"{key}d")
    async with opened(graph_engine) as store:
        for status in (500, 200):
            edge = Edge("FETCHED", task, document, {"status": status})
            await store.write(GraphBatch([node(task), node(document)], [edge]))
        assert (await read(store, task[1])).edges == [Edge("FETCHED", task, document, {"status": 200})]
    assert await graph_engine.count_edges("FETCHED", key) == 1


async def test_a_part_written_twice_is_one_with_the_later_properties(graph_engine: GraphEngine, key: str) -> None:
    """Also where a later batch comes without its task."""
    task, calls = ("Task", f"{key}t"), [("ModelCall", f"{key}{number}") for number in range(3)]
    async with opened(graph_engine) as store:
        for turn in (1, 2):
            edges = [Edge("CALLED", task, call, {"turn": turn}) for call in calls]
            await store.write(GraphBatch([node(task), *(node(call, turn=turn) for call in calls)], edges))
        await store.write(GraphBatch([node(calls[0], turn=3)], [Edge("CALLED", task, calls[0], {"turn": 3})]))
        found = await read(store, task[1])
    assert {each.id: each.props["turn"] for each in found.nodes if each.id != task[1]} == {
        calls[0][1]: 3, calls[1][1]: 2, calls[2][1]: 2
    }  # fmt: skip
    assert {each.end[1]: each.props["turn"] for each in found.edges} == {calls[0][1]: 3, calls[1][1]: 2, calls[2][1]: 2}
    assert await graph_engine.count_nodes("ModelCall", key) == 3
    assert await graph_engine.count_edges("CALLED", key) == 3


async def test_an_edge_without_both_ends_is_left_out(graph_engine: GraphEngine, key: str) -> None:
    task, document, missing = ("Task", f"{key}t"), ("Document", f"{key}d"), ("Document", f"{key}missing")
    edges = [Edge("FETCHED", task, document), Edge("FETCHED", task, missing), Edge("LINKS_TO", missing, document)]
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([node(task), node(document)], edges))
        assert triples(await read(store, task[1])) == {("FETCHED", task, document)}
    assert await graph_engine.count_nodes("Document", key) == 1


async def test_a_parent_that_is_not_stored_yet_is_not_found(graph_engine: GraphEngine, key: str) -> None:
    parent, child = ("Task", f"{key}parent"), ("Task", f"{key}child")
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([Node(*parent), node(child)], [Edge("CHILD_OF", child, parent)]))
        assert await store.neighbourhood("acme", parent[1], 10) is None
        assert ends(await read(store, child[1])) == {child}
        await store.write(GraphBatch([node(parent)], []))
        assert triples(await read(store, parent[1])) == {("CHILD_OF", child, parent)}


async def test_the_neighbourhood_is_what_the_task_did_and_no_other_task_s(graph_engine: GraphEngine, key: str) -> None:
    names = ("parent", "task", "child", "grandchild")
    parent, task, child, grandchild = tasks = [("Task", f"{key}{name}") for name in names]
    page, linked, childs_page = documents = [("Document", f"{key}{name}") for name in ("page", "linked", "childs")]
    chunk = ("Chunk", f"{key}chunk")
    edges = [
        Edge("CHILD_OF", task, parent),
        Edge("CHILD_OF", child, task),
        Edge("CHILD_OF", grandchild, child),
        Edge("FETCHED", task, page),
        Edge("FETCHED", child, childs_page),
        Edge("FETCHED", grandchild, page),
        Edge("HAS_CHUNK", page, chunk),
        Edge("LINKS_TO", page, linked),
        Edge("LINKS_TO", linked, page),
    ]
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([node(end) for end in (*tasks, *documents, chunk)], edges))
        found = await read(store, task[1])
    assert found.nodes[0] == node(task)
    assert ends(found) == {task, parent, child, page, chunk, linked}
    assert triples(found) == {(e.type, e.start, e.end) for e in edges if {e.start, e.end} <= ends(found)}


async def test_tenants_never_meet(graph_engine: GraphEngine, key: str) -> None:
    task, mine, theirs = ("Task", f"{key}t"), ("Document", f"{key}mine"), ("Document", f"{key}theirs")
    edges = [Edge("FETCHED", task, mine), Edge("FETCHED", task, theirs), Edge("LINKS_TO", mine, theirs)]
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([node(task), node(mine), node(theirs, tenant="globex")], edges))
        assert await store.neighbourhood("globex", task[1], 10) is None
        assert await store.neighbourhood("acme", f"{key}nothing", 10) is None
        assert ends(await read(store, task[1])) == {task, mine}


async def test_the_trail_leads_from_a_claim_to_the_calls_of_its_task(graph_engine: GraphEngine, key: str) -> None:
    claim, sibling = ("Claim", f"{key}claim"), ("Claim", f"{key}sibling")
    chunk, uncited = ("Chunk", f"{key}chunk"), ("Chunk", f"{key}uncited")
    page, bare, other_page = (("Document", f"{key}{name}") for name in ("page", "bare", "other"))
    task, reader = ("Task", f"{key}task"), ("Task", f"{key}reader")
    call, other_call = ("ModelCall", f"{key}call"), ("ModelCall", f"{key}others")
    trail = [
        Edge("CITES", claim, chunk, {"spans": ["1-2"], "quotes": ["q"]}),
        Edge("CITES", claim, bare),
        Edge("HAS_CHUNK", page, chunk),
        Edge("CLAIMED", task, claim),
        Edge("CALLED", task, call),
        Edge("READ", task, page),
    ]
    beside = [
        Edge("CITES", sibling, uncited),
        Edge("HAS_CHUNK", page, uncited),
        Edge("CLAIMED", task, sibling),
        Edge("LINKS_TO", page, other_page),
        Edge("READ", reader, page),
        Edge("CALLED", reader, other_call),
    ]
    everything = (claim, sibling, chunk, uncited, page, bare, other_page, task, reader, call, other_call)
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([node(end) for end in everything], [*trail, *beside]))
        found = await store.trail("acme", claim[1], 10)
        assert await store.trail("globex", claim[1], 10) is None
        assert await store.trail("acme", f"{key}nothing", 10) is None
        assert await store.trail("acme", task[1], 10) is None
    assert ends(found) == {claim, chunk, bare, page, task, call}
    assert triples(found) == {(edge.type, edge.start, edge.end) for edge in trail}
    assert found is not None
    assert [edge.props for edge in found.edges if edge.end == chunk and edge.type == "CITES"] == [trail[0].props]


async def test_a_trail_meets_no_other_tenant(graph_engine: GraphEngine, key: str) -> None:
    claim, chunk, task = ("Claim", f"{key}claim"), ("Chunk", f"{key}chunk"), ("Task", f"{key}task")
    page, call = ("Document", f"{key}page"), ("ModelCall", f"{key}call")
    edges = [
        Edge("CITES", claim, chunk),
        Edge("HAS_CHUNK", page, chunk),
        Edge("CLAIMED", task, claim),
        Edge("CALLED", task, call),
    ]
    async with opened(graph_engine) as store:
        theirs = [node(end, tenant="globex") for end in (chunk, page, task, call)]
        await store.write(GraphBatch([node(claim), *theirs], edges))
        assert ends(await store.trail("acme", claim[1], 10)) == {claim}


async def test_the_limit_counts_nodes_and_the_nearest_come_first(graph_engine: GraphEngine, key: str) -> None:
    task = ("Task", f"{key}t")
    pages = [("Document", f"{key}{index:02}") for index in range(30)]
    chunks = [("Chunk", f"{key}{index:02}") for index in range(30)]
    edges = [Edge("FETCHED", task, page) for page in pages]
    edges += [Edge("HAS_CHUNK", page, chunk) for page, chunk in zip(pages, chunks, strict=True)]
    edges += [Edge("LINKS_TO", one, other) for one in pages for other in pages if one != other]
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([node(end) for end in (task, *pages, *chunks)], edges))
        found = {limit: await read(store, task[1], limit=limit) for limit in (0, 1, 10, 31, 40, 100)}
    assert [len(batch.nodes) for batch in found.values()] == [1, 1, 10, 31, 40, 61]
    assert ends(found[10]) == {task, *pages[:9]}
    assert ends(found[40]) == {task, *pages, *chunks[:9]}
    assert len(found[31].edges) == 31 * MAX_EDGES_PER_NODE
    assert len(triples(found[100])) == len(edges)


async def test_two_thousand_nodes_in_one_batch(graph_engine: GraphEngine, key: str) -> None:
    tasks = [("Task", f"{key}{index:04}") for index in range(100)]
    pages = [("Document", f"{key}{index:04}") for index in range(1_900)]
    edges = [Edge("FETCHED", tasks[index % 100], page) for index, page in enumerate(pages)]
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([node(end, text="word " * 50) for end in (*pages, *tasks)], edges))
        assert len((await read(store, tasks[-1][1])).nodes) == 20
    assert await graph_engine.count_nodes("Document", key) == 1_900
    assert await graph_engine.count_edges("FETCHED", key) == 1_900


async def test_writers_of_the_same_nodes_make_no_duplicates(graph_engine: GraphEngine, key: str) -> None:
    task = ("Task", f"{key}t")
    pages = [("Document", f"{key}{index:03}") for index in range(120)]
    edges = [Edge("FETCHED", task, page) for page in pages]
    edges += [Edge("LINKS_TO", pages[0], page) for page in pages[1:]]

    async def write(store: GraphStore, writer: int) -> None:
        turned = pages[writer * 30 :] + pages[: writer * 30]
        for start in range(0, len(turned), 40):
            part = turned[start : start + 40]
            wanted = [edge for edge in edges if edge.end in part]
            await store.write(GraphBatch([node(end, writer=writer) for end in (task, pages[0], *part)], wanted))

    async with opened(graph_engine) as one, opened(graph_engine) as two:
        await asyncio.gather(*(write(store, writer) for writer, store in enumerate((one, two, one, two))))
    assert await graph_engine.count_nodes("Task", key) == 1
    assert await graph_engine.count_nodes("Document", key) == len(pages)
    assert await graph_engine.count_edges("FETCHED", key) == len(pages)
    assert await graph_engine.count_edges("LINKS_TO", key) == len(pages) - 1


@pytest.mark.parametrize(
    "bad",
    [
        Node("Task", "x", {"tenant": "acme", "value": {"a": 1}}),  # type: ignore[dict-item]
        Node("Task", "x", {"tenant": "acme", "value": [1, "a"]}),  # type: ignore[list-item]
        Node("Task", "x", {"tenant": "acme", "value": 1 << 63}),
        Node("Task", "x", {"tenant": "acme", "value": float("nan")}),
        Node("Task", "x", {"tenant": "acme", "value": "\ud800"}),
        Node("Task", "x", {"tenant": "acme", "id": "y"}),
        Node("Task", "x", {"tenant": "acme", "a-b": 1}),
        Node("Task", "x", {"title": "nobody's"}),
        Node("Task", "", {"tenant": "acme"}),
        Node("Task", "x" * (MAX_ID_BYTES + 1), {"tenant": "acme"}),
        Node("Task) DETACH DELETE n //", "x", {"tenant": "acme"}),
    ],
    ids=["map", "mixed", "65-bit", "nan", "surrogate", "id", "name", "tenant", "no-id", "long-id", "label"],
)
async def test_a_bad_node_is_refused_before_anything_is_written(graph_engine: GraphEngine, key: str, bad: Node) -> None:
    async with opened(graph_engine) as store:
        with pytest.raises(RowRejected):
            await store.write(GraphBatch([node(("Task", f"{key}good")), bad], []))
    assert await graph_engine.count_nodes("Task", key) == 0


@pytest.mark.parametrize(
    "bad",
    [
        Edge("CHILD_OF]->() DETACH DELETE a //", ("Task", "x"), ("Task", "y")),
        Edge("CHILD_OF", ("Nothing", "x"), ("Task", "y")),
        Edge("CHILD_OF", ("Task", "x"), ("Task", "")),
        Edge("CHILD_OF", ("Task", "x"), ("Task", "y"), {"value": {"a": 1}}),  # type: ignore[dict-item]
    ],
    ids=["type", "label", "no-id", "map"],
)
async def test_a_bad_edge_is_refused_before_anything_is_written(graph_engine: GraphEngine, key: str, bad: Edge) -> None:
    async with opened(graph_engine) as store:
        with pytest.raises(RowRejected):
            await store.write(GraphBatch([node(("Task", f"{key}good"))], [bad]))
    assert await graph_engine.count_nodes("Task", key) == 0


async def test_a_version_follows_the_one_that_was_seen_last_before_it(graph_engine: GraphEngine, key: str) -> None:
    task, page, other = ("Task", f"{key}t"), ("Document", f"{key}d"), ("Document", f"{key}e")
    first, second, third, elsewhere = (("Version", f"{key}{name}") for name in ("1", "2", "3", "4"))

    def seen(version: End, at: int | None, document: End = page) -> GraphBatch:
        edges = [Edge("FETCHED", task, document), Edge("HAS_VERSION", document, version)]
        return GraphBatch([node(task), node(document), node(version, seen_at=at)], edges)

    async with opened(graph_engine) as store:
        for batch in (
            seen(elsewhere, 50, other),
            seen(first, 100),
            seen(third, 300),
            seen(third, 400),
            seen(second, 200),
        ):
            await store.write(batch)
            await store.write(batch)
        follows = {(a, b) for kind, a, b in triples(await read(store, task[1])) if kind == "FOLLOWS"}
        assert follows == {(third, first), (second, first)}

        await store.write(seen(third, 500))  # what came late is known by now
        await store.write(seen(first, 600))  # the page is as it was in the beginning
        await store.write(seen(("Version", f"{key}5"), None))  # nobody knows when
        follows = {(a, b) for kind, a, b in triples(await read(store, task[1])) if kind == "FOLLOWS"}
    assert follows == {(third, first), (second, first), (third, second), (first, third)}


async def test_an_unreachable_server_is_said_so_in_time(graph_engine: GraphEngine, key: str) -> None:
    store = graph_engine.unreachable(timeout_s=1.0)
    task = GraphBatch([node(("Task", f"{key}t"))], [])
    calls: list[Callable[[], Awaitable[object]]] = [
        store.prepare,
        store.ping,
        lambda: store.write(task),
        lambda: store.neighbourhood("acme", "t", 10),
        lambda: store.trail("acme", "c", 10),
    ]
    for call in calls:
        start = time.monotonic()
        with pytest.raises(GraphUnavailable):
            await call()
        assert time.monotonic() - start < 20  # the driver alone tries for half a minute
    await store.close()


async def test_lost_connections_do_not_lose_a_write(graph_engine: GraphEngine, key: str) -> None:
    task, document = ("Task", f"{key}t"), ("Document", f"{key}d")
    async with opened(graph_engine) as store:
        await store.write(GraphBatch([node(task)], []))
        await graph_engine.drop_connections()
        await store.write(GraphBatch([node(document)], [Edge("FETCHED", task, document)]))
        await graph_engine.drop_connections()
        await store.ping()
        assert ends(await read(store, task[1])) == {task, document}
