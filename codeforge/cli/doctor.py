"""`codeforge doctor`: asks every configured engine and key, all at once, and says what is wrong in a line each."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from codeforge.cli.places import looked_at
from codeforge.errors import CodeForgeError, GraphUnavailable, SettingsError
from codeforge.ledger.diagnosis import RedisReport, examine_redis
from codeforge.settings import Settings, is_loopback, load_settings, misspelt_names
from codeforge.stores.diagnosis import graph_server
from codeforge.wiring.embeddings import embedder
from codeforge.wiring.graph import graph_store
from codeforge.wiring.model import model_client
from codeforge.wiring.vectors import vector_store

DEADLINE_S = 10.0
CONNECT_S = 5.0


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    part: str
    text: str


Check = Callable[[Settings], Awaitable[list[Finding]]]


def examine(say: Callable[[str], None]) -> bool:
    """Says one line per finding; True when one of them is an error. Raises SettingsError."""
    findings = asyncio.run(diagnose(load_settings(), CHECKS))
    for finding in findings:
        say(f"{finding.level:<7}  {finding.part:<10}  {finding.text}")
    return any(finding.level is Level.ERROR for finding in findings)


async def diagnose(settings: Settings, checks: dict[str, Check], deadline_s: float = DEADLINE_S) -> list[Finding]:
    """Runs the checks together, each within the deadline; the findings are in the checks' order."""
    lists = await asyncio.gather(*(_run(part, check, settings, deadline_s) for part, check in checks.items()))
    return [finding for findings in lists for finding in findings]


async def _run(part: str, check: Check, settings: Settings, deadline_s: float) -> list[Finding]:
    try:
        async with asyncio.timeout(deadline_s):
            return await check(settings)
    except SettingsError as error:  # names its setting
        return [Finding(Level.ERROR, part, error.message)]
    except TimeoutError:
        failure = f"no answer within {deadline_s:.0f} s"
    except CodeForgeError as error:
        failure = error.message
    place = looked_at(part, settings)
    return [Finding(Level.ERROR, part, f"{failure}: {place}" if place else failure)]


async def check_redis(settings: Settings) -> list[Finding]:
    """Reachable, evicting nothing, writing down what it accepts."""
    report = await examine_redis(settings.redis_address, CONNECT_S)
    findings = [Finding(Level.OK, "redis", report.version)]
    if report.policy is None:
        findings.append(Finding(Level.WARNING, "redis", "does not tell its maxmemory-policy, which must be noeviction"))
    elif report.policy != "noeviction":
        text = f"maxmemory-policy is {report.policy}, which drops tasks when memory is full: set noeviction"
        findings.append(Finding(Level.ERROR, "redis", text))
    findings.append(_loss_window(report))
    return findings


def _loss_window(report: RedisReport) -> Finding:
    """What a crash of the server can take with it."""
    if report.append_only is None:
        return Finding(Level.WARNING, "redis", "does not tell whether appendonly is on: what a crash loses is unknown")
    if not report.append_only:
        text = "appendonly is off: a crash loses the tasks since the last snapshot"
        return Finding(Level.WARNING, "redis", text)
    if report.append_fsync == "always":
        return Finding(Level.OK, "redis", "appendfsync always: a crash loses nothing that was answered")
    if report.append_fsync == "everysec":
        return Finding(Level.OK, "redis", "appendfsync everysec: a crash of its machine loses up to about a second")
    text = f"appendfsync is {report.append_fsync}: a crash of its machine loses half a minute; set everysec"
    return Finding(Level.WARNING, "redis", text)


async def check_graph(settings: Settings) -> list[Finding]:
    """Reachable, lets us in, answers a query in the configured database."""
    server = await graph_server(settings.neo4j_address, settings.neo4j_user, settings.neo4j_password, CONNECT_S)
    store = graph_store(settings)
    try:
        await store.ping()
    finally:
        await store.close()
    return [Finding(Level.OK, "graph", server)]


async def check_vectors(settings: Settings) -> list[Finding]:
    """Reachable, lets us in; a collection that is there was made with these embeddings, and none that had results is
    gone or empty."""
    store = vector_store(settings)
    try:
        there = await store.fits()
        filled = there and await store.count() > 0
    finally:
        await store.close()
    name = f"collection {settings.qdrant_collection}"
    if filled or not await _has_results(settings):
        return [Finding(Level.OK, "vectors", name + ("" if there else ", which the projector will make"))]
    remedy = "the graph has results: codeforge rebuild vectors"
    if there:
        return [Finding(Level.WARNING, "vectors", f"{name} is empty, but {remedy}, if these have texts")]
    return [Finding(Level.ERROR, "vectors", f"{name} is missing, so that searches find nothing, but {remedy}")]


async def _has_results(settings: Settings) -> bool:
    """Whether the graph holds a task; that it does not answer is another check's finding."""
    graph = graph_store(settings)
    try:
        return bool(await graph.tasks("", 1))
    except GraphUnavailable:
        return False
    finally:
        await graph.close()


async def check_embeddings(settings: Settings) -> list[Finding]:
    """A text becomes a vector of the configured length."""
    texts = embedder(settings)
    try:
        vector = (await texts.embed(["codeforge"]))[0]
    finally:
        await texts.close()
    if len(vector) != settings.embeddings_dim:
        text = f"the model gives {len(vector)} dimensions, EMBEDDINGS_DIM says {settings.embeddings_dim}"
        return [Finding(Level.ERROR, "embeddings", text)]
    source = "a service" if settings.embeddings_base_url is not None else "wordllama, on this machine"
    return [Finding(Level.OK, "embeddings", f"{len(vector)} dimensions from {source}")]


async def check_model(settings: Settings) -> list[Finding]:
    """Address and key of the model's service; no tokens are spent."""
    client = model_client(settings)
    if client is None:
        text = "none configured: coding, analysis and debate are refused; set OPENROUTER_API_KEY or LLM_BASE_URL"
        return [Finding(Level.WARNING, "model", text)]
    try:
        await client.ping()
    finally:
        await client.close()
    return [Finding(Level.OK, "model", f"{settings.model_name or 'the first one'} at {settings.model_address}")]


async def check_web(settings: Settings) -> list[Finding]:
    """Which keys of web services are there. They are not tried: a try would cost money."""
    keys = {"TAVILY_API_KEY": settings.tavily_api_key, "EXA_API_KEY": settings.exa_api_key}
    present = [name for name, key in keys.items() if key is not None]
    if present:
        search = Finding(Level.OK, "web search", f"{' and '.join(present)} set")
    else:
        text = f"neither {' nor '.join(keys)} set: analysis works on the given URLs only"
        search = Finding(Level.WARNING, "web search", text)
    if settings.zenrows_api_key is not None:
        return [search, Finding(Level.OK, "rendering", "ZENROWS_API_KEY set")]
    return [search, Finding(Level.WARNING, "rendering", "ZENROWS_API_KEY not set: pages are not rendered")]


async def check_api(settings: Settings) -> list[Finding]:
    """Who can reach the API. (Settings refuse an open address without keys.)"""
    keys = len(settings.api_keys)
    if is_loopback(settings.api_host):
        return [Finding(Level.OK, "api", f"binds {settings.api_host}, this machine only; {keys} API keys")]
    if settings.allow_private_hosts:
        text = "ALLOW_PRIVATE_HOSTS lets every client of this API reach those hosts"
        return [Finding(Level.WARNING, "api", text)]
    return [Finding(Level.OK, "api", f"binds {settings.api_host}; {keys} API keys")]


async def check_names(settings: Settings) -> list[Finding]:
    """Variables that no setting is called by: they are ignored, whatever they were meant to do."""
    return [
        Finding(Level.WARNING, "settings", f"{name} is no setting, and is ignored: is {meant} meant?")
        for name, meant in misspelt_names().items()
    ]


CHECKS: dict[str, Check] = {
    "settings": check_names,
    "redis": check_redis,
    "graph": check_graph,
    "vectors": check_vectors,
    "embeddings": check_embeddings,
    "model": check_model,
    "web search": check_web,
    "api": check_api,
}
