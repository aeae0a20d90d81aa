"""The doctor's report: all checks at once, each within its deadline, one line each."""

import asyncio
from uuid import uuid4

import pytest

from codeforge.cli.doctor import (
    CHECKS,
    Check,
    Finding,
    Level,
    check_api,
    check_model,
    check_names,
    check_redis,
    check_vectors,
    check_web,
    diagnose,
)
from codeforge.errors import LedgerUnavailable
from codeforge.ledger import diagnosis
from codeforge.settings import Settings, load_settings
from codeforge.stores.memory_graph import MemoryGraphStore
from codeforge.stores.memory_vectors import MemoryVectorStore
from codeforge.stores.ports import GraphBatch, Node, Point

DIGEST = "a" * 64


def run(checks: dict[str, Check], deadline_s: float = 5.0, /, **settings: str) -> list[Finding]:
    return asyncio.run(diagnose(load_settings(settings), checks, deadline_s))


def test_a_failure_a_hang_and_a_good_part_are_one_line_each() -> None:
    async def fails(settings: Settings) -> list[Finding]:
        raise LedgerUnavailable("the server refuses the user or the password")

    async def hangs(settings: Settings) -> list[Finding]:
        await asyncio.Event().wait()
        return []

    async def works(settings: Settings) -> list[Finding]:
        return [Finding(Level.OK, "graph", "Neo4j/5")]

    findings = run({"redis": fails, "vectors": hangs, "graph": works}, 0.1)
    assert [(finding.level, finding.part) for finding in findings] == [
        (Level.ERROR, "redis"),
        (Level.ERROR, "vectors"),
        (Level.OK, "graph"),
    ]
    assert findings[0].text.startswith("the server refuses the user or the password: ")
    assert "no answer within" in findings[1].text


@pytest.mark.parametrize(
    ("policy", "append_only", "append_fsync", "levels", "says"),
    [
        ("noeviction", True, "always", [Level.OK, Level.OK], "loses nothing"),
        ("noeviction", True, "everysec", [Level.OK, Level.OK], "about a second"),
        ("noeviction", True, "no", [Level.OK, Level.WARNING], "half a minute"),
        ("allkeys-lru", True, "everysec", [Level.OK, Level.ERROR, Level.OK], "about a second"),
        ("noeviction", False, "everysec", [Level.OK, Level.WARNING], "since the last snapshot"),
        (None, None, None, [Level.OK, Level.WARNING, Level.WARNING], "does not tell whether"),
    ],
)
def test_redis_must_evict_nothing_and_says_what_a_crash_loses(
    monkeypatch: pytest.MonkeyPatch,
    policy: str | None,
    append_only: bool | None,
    append_fsync: str | None,
    levels: list[Level],
    says: str,
) -> None:
    async def examined(address: str, timeout_s: float) -> diagnosis.RedisReport:
        return diagnosis.RedisReport("Redis 7.2", policy, append_only, append_fsync)

    monkeypatch.setattr("codeforge.cli.doctor.examine_redis", examined)
    findings = run({"redis": check_redis})
    assert [finding.level for finding in findings] == levels
    assert says in findings[-1].text


async def unreachable(settings: Settings) -> list[Finding]:
    raise LedgerUnavailable("the server cannot be reached")


@pytest.mark.parametrize(
    ("part", "settings", "place", "named"),
    [
        ("redis", {}, "127.0.0.1:6379", "REDIS_HOST"),
        ("redis", {"redis_url": "redis://me:hidden@redis-1:6400/0"}, "redis-1:6400", "REDIS_URL"),
        (
            "redis",
            {"redis_url": "sentinel://:hidden@one;two:26380/0?sentinel_password=hidden%40"},
            "one:26379, two:26380",
            "REDIS_URL",
        ),
        ("redis", {"redis_url": "unix:///run/redis.sock"}, "/run/redis.sock", "REDIS_URL"),
        ("graph", {"neo4j_uri": "neo4j://graph:7688", "neo4j_password": "hidden"}, "graph:7688", "NEO4J_PASSWORD"),
        ("vectors", {"qdrant_url": "https://me:hidden@[::1]:1"}, "[::1]:1", "QDRANT_URL"),
        (
            "embeddings",
            {"embeddings_base_url": "https://e.example/v1", "embeddings_model": "m"},
            "e.example",
            "EMBEDDINGS_BASE_URL",
        ),
    ],
)
def test_a_failure_says_where_it_looked_and_which_settings_say_so(
    part: str, settings: dict[str, str], place: str, named: str
) -> None:
    (finding,) = run({part: unreachable}, **settings)
    assert f"the server cannot be reached: {place}, by " in finding.text
    assert named in finding.text
    assert "hidden" not in finding.text


@pytest.mark.parametrize(
    ("made", "points", "tasks", "level", "says"),
    [
        (False, False, False, Level.OK, "which the projector will make"),
        (False, False, True, Level.ERROR, "is missing"),
        (True, False, False, Level.OK, "collection c"),
        (True, False, True, Level.WARNING, "is empty"),
        (True, True, True, Level.OK, "collection c"),
    ],
)
def test_a_collection_that_lost_its_data_is_told_and_a_new_one_is_not(
    monkeypatch: pytest.MonkeyPatch, made: bool, points: bool, tasks: bool, level: Level, says: str
) -> None:
    async def checked(settings: Settings) -> list[Finding]:
        vectors, graph = MemoryVectorStore(2), MemoryGraphStore()
        if made:
            await vectors.prepare()
        if points:
            await vectors.upsert([Point(str(uuid4()), (1.0, 0.0), {"text": "a text", "tenant": "acme"})])
        if tasks:
            await graph.write(GraphBatch(nodes=[Node("Task", "t", {"tenant": "acme", "fence": 1})], edges=[]))
        monkeypatch.setattr("codeforge.cli.doctor.vector_store", lambda _: vectors)
        monkeypatch.setattr("codeforge.cli.doctor.graph_store", lambda _: graph)
        return await check_vectors(settings)

    (finding,) = run({"vectors": checked}, qdrant_collection="c")
    assert finding.level is level
    assert says in finding.text


def test_a_missing_model_is_a_warning_that_names_the_settings() -> None:
    (finding,) = run({"model": check_model})
    assert finding.level is Level.WARNING
    assert "OPENROUTER_API_KEY" in finding.text
    assert "LLM_BASE_URL" in finding.text


def test_keys_are_reported_by_name_only() -> None:
    findings = run({"web": check_web}, tavily_api_key="tvly-secret")
    assert findings[0].level is Level.OK
    assert "TAVILY_API_KEY set" in findings[0].text
    assert "secret" not in str(findings)


def test_an_open_api_that_reaches_private_hosts_is_a_warning() -> None:
    open_api = {"api_host": "0.0.0.0", "api_keys": f"acme:{DIGEST}"}
    assert run({"api": check_api}, **open_api)[0].level is Level.OK
    assert run({"api": check_api}, **open_api, allow_private_hosts="10.0.0.0/8")[0].level is Level.WARNING
    assert run({"api": check_api})[0].level is Level.OK


def test_every_part_has_a_check() -> None:
    assert list(CHECKS) == ["settings", "redis", "graph", "vectors", "embeddings", "model", "web search", "api"]


def test_misspelt_variables_are_told_and_others_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFORGE_MAX_CONCURENT_TASKS", "3")
    monkeypatch.setenv("CODEFORGE_API_KEY", "acme:secret")
    monkeypatch.setenv("CODEFORGE_SOMETHING_OF_OURS", "x")
    monkeypatch.setenv("CODEFORGE_LEASE_S", "10")
    findings = run({"settings": check_names})
    assert [(finding.level, finding.text) for finding in findings] == [
        (Level.WARNING, "CODEFORGE_API_KEY is no setting, and is ignored: is CODEFORGE_API_KEYS meant?"),
        (
            Level.WARNING,
            "CODEFORGE_MAX_CONCURENT_TASKS is no setting, and is ignored: is CODEFORGE_MAX_CONCURRENT_TASKS meant?",
        ),
    ]
