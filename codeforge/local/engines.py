"""The engines of a local stack, and the settings that lead to them.

An engine that a `--set` replaces (`REDIS_URL`, `NEO4J_HOST` and so on: `chosen_by`) is not started. The environment's
own settings of those names do not count: they may be meant for another deployment on this machine.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from codeforge.errors import SettingsError
from codeforge.local.arcadedb import USER as ARCADEDB_USER
from codeforge.local.arcadedb import arcadedb_spec
from codeforge.local.data_dir import DataDir
from codeforge.local.llm import local_llm_spec
from codeforge.local.options import UpOptions
from codeforge.local.part import Kind, Part
from codeforge.local.ports import LOOPBACK
from codeforge.local.probes import http_status
from codeforge.local.process import ProcessSpec
from codeforge.local.valkey import valkey_spec, valkey_url
from codeforge.settings import Settings

LLM_START_S = 300.0
"""The local model is unpacked and loaded at its start."""


@dataclass(frozen=True, slots=True)
class Engine:
    """`fields` are the settings that say where the engine is; one of `chosen_by` in a `--set` replaces it."""

    name: str
    ports: tuple[str, ...]
    chosen_by: frozenset[str]
    fields: tuple[str, ...]


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "redis",
            ("redis",),
            frozenset({"redis_url", "redis_host", "redis_sentinels"}),
            ("redis_url", "redis_host", "redis_port", "redis_sentinels", "redis_password"),
        ),
        Engine(
            "graph",
            ("bolt", "graph_http"),
            frozenset({"neo4j_uri", "neo4j_host"}),
            ("neo4j_uri", "neo4j_host", "neo4j_user", "neo4j_password", "neo4j_database"),
        ),
        Engine(
            "vectors",
            ("qdrant",),
            frozenset({"qdrant_url", "qdrant_host"}),
            ("qdrant_url", "qdrant_host", "qdrant_api_key"),
        ),
        Engine("llm", ("llm",), frozenset({"llm_base_url"}), ("llm_base_url", "llm_api_key", "llm_model")),
    )
}


Plan = Callable[[Mapping[str, int], DataDir], tuple[Part, dict[str, str]]]
"""From ports and the data directory to how an engine is started, and the settings that lead to it."""


@dataclass(frozen=True, slots=True)
class StartedEngines:
    """`settings` (names without the prefix) point to the engines; `replaced` are the settings that must not come from
    anywhere else."""

    parts: tuple[Part, ...]
    settings: dict[str, str] = field(repr=False)
    replaced: tuple[str, ...]


def embedded_engines(options: UpOptions) -> tuple[Engine, ...]:
    """The engines that these options start. Raises SettingsError for a contradiction."""
    given = {name.lower() for name in options.overrides}
    if options.llm == "local" and "llm_base_url" in given:
        raise SettingsError("LLM_BASE_URL: --llm local and --set LLM_BASE_URL exclude each other")
    return tuple(
        engine
        for engine in ENGINES.values()
        if given.isdisjoint(engine.chosen_by) and (engine.name != "llm" or options.llm == "local")
    )


def overruled(options: UpOptions) -> frozenset[str]:
    """The addresses that the environment must not give, for a `--set` names the same engine in another way."""
    given = {name.lower() for name in options.overrides}
    replaced = [engine for engine in ENGINES.values() if not given.isdisjoint(engine.chosen_by)]
    return frozenset(name for engine in replaced for name in engine.chosen_by - given)


def plan_engines(
    engines: tuple[Engine, ...], ports: Mapping[str, int], data_dir: DataDir, given: Settings
) -> StartedEngines:
    """How to start them, on these ports. Raises StackError when one is not installed."""
    plans: dict[str, Plan] = {"redis": partial(_redis, given), "graph": _graph, "vectors": _vectors, "llm": _llm}
    parts: list[Part] = []
    settings: dict[str, str] = {}
    for engine in engines:
        part, its_settings = plans[engine.name](ports, data_dir)
        parts.append(part)
        settings |= its_settings
    return StartedEngines(tuple(parts), settings, tuple(name for engine in engines for name in engine.fields))


def _redis(given: Settings, ports: Mapping[str, int], data_dir: DataDir) -> tuple[Part, dict[str, str]]:
    password = data_dir.password("redis")
    spec = valkey_spec(data_dir.root / "redis", ports["redis"], password, given.redis_appendfsync)
    return Part(spec, Kind.ENGINE), {"redis_url": valkey_url(ports["redis"], password)}


def _graph(ports: Mapping[str, int], data_dir: DataDir) -> tuple[Part, dict[str, str]]:
    password = data_dir.password("graph")
    spec = arcadedb_spec(data_dir.root / "graph", ports["bolt"], ports["graph_http"], password)
    return Part(spec, Kind.ENGINE), {
        "neo4j_uri": f"bolt://{LOOPBACK}:{ports['bolt']}",
        "neo4j_user": ARCADEDB_USER,
        "neo4j_password": password.get_secret_value(),
    }


def _vectors(ports: Mapping[str, int], data_dir: DataDir) -> tuple[Part, dict[str, str]]:
    port = ports["qdrant"]
    spec = qdrant_spec(data_dir.root / "vectors", port)
    return Part(spec, Kind.ENGINE), {"qdrant_url": f"http://{LOOPBACK}:{port}"}


def _llm(ports: Mapping[str, int], data_dir: DataDir) -> tuple[Part, dict[str, str]]:
    spec = local_llm_spec(data_dir.root / "llm", ports["llm"])
    return Part(spec, Kind.ENGINE, LLM_START_S), {
        "llm_base_url": f"http://{LOOPBACK}:{ports['llm']}/v1",
        # The server answers one call at a time; what waits there runs into the time limit of a call.
        "llm_max_connections": "2",
    }


def qdrant_spec(directory: Path, port: int) -> ProcessSpec:
    """The embedded Qdrant, its shard in `directory`."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def ready() -> bool:
        return await http_status(LOOPBACK, port, "/readyz") == 200

    argv = (sys.executable, "-m", "codeforge.local.qdrant", "--host", LOOPBACK, "--port", str(port))
    return ProcessSpec("vectors", (*argv, "--path", str(directory)), ready, directory)
