"""The project's own processes in a local stack: API, projector, reaper, Flower and the workers."""

import sys
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from codeforge.local.data_dir import DataDir
from codeforge.local.part import Kind, Part
from codeforge.local.ports import LOOPBACK
from codeforge.local.probes import beats, http_status
from codeforge.local.process import ProcessSpec
from codeforge.settings import PREFIX, Settings
from codeforge.worker_types import GENERAL

FLOWER_USER = "codeforge"


def service_parts(
    settings: Settings, environment: Mapping[str, str], ports: Mapping[str, int], data_dir: DataDir
) -> tuple[Part, ...]:
    """API, projector, reaper and Flower. `environment` holds the settings that the first three get."""
    return (
        Part(_api(settings, environment, ports["api"], data_dir), Kind.SERVICE),
        _beating("projector", (sys.executable, "-m", "codeforge", "projector"), environment, data_dir, Kind.SERVICE),
        _beating("reaper", (sys.executable, "-m", "codeforge", "reaper"), environment, data_dir, Kind.SERVICE),
        Part(_flower(settings, ports["flower"], data_dir), Kind.SERVICE),
    )


def worker_parts(environment: Mapping[str, str], data_dir: DataDir, types: Sequence[str]) -> tuple[Part, ...]:
    """A worker process for each of these `WORKER_TYPE`s."""
    return tuple(_worker(worker_type, environment, data_dir) for worker_type in types)


def flower_login(settings: Settings, data_dir: DataDir) -> tuple[str, str]:
    """User and password: those of FLOWER_BASIC_AUTH, or else one that was generated."""
    if settings.flower_basic_auth is None:
        return FLOWER_USER, data_dir.password("flower").get_secret_value()
    user, _, password = settings.flower_basic_auth.get_secret_value().partition(":")
    return user, password


def reachable_host(host: str) -> str:
    """The address at which this machine reaches a server bound to `host`."""
    try:
        return LOOPBACK if ip_address(host).is_unspecified else host
    except ValueError:
        return host


def _api(settings: Settings, environment: Mapping[str, str], port: int, data_dir: DataDir) -> ProcessSpec:
    host = reachable_host(settings.api_host)

    async def ready() -> bool:
        return await http_status(host, port, "/readyz") == 200

    own = {f"{PREFIX}API_PORT": str(port)}
    return ProcessSpec("api", (sys.executable, "-m", "codeforge", "api"), ready, data_dir.run, {**environment, **own})


def _worker(worker_type: str, environment: Mapping[str, str], data_dir: DataDir) -> Part:
    # Queues, pool and concurrency follow from WORKER_TYPE and the settings; the name is for people.
    command = (sys.executable, "-m", "celery", "-A", "workers.main", "worker", "-n", f"{worker_type}@%h", "-l", "INFO")
    name = "worker" if worker_type == GENERAL else f"worker-{worker_type}"
    own = {f"{PREFIX}WORKER_TYPE": worker_type}
    return _beating(name, command, {**environment, **own}, data_dir, Kind.WORKER)


def _beating(
    name: str, command: tuple[str, ...], environment: Mapping[str, str], data_dir: DataDir, kind: Kind
) -> Part:
    """A part that shows by its health file that it works. The keeper removes the file of an earlier start."""
    beat = data_dir.run / f"{name}.health"

    async def ready() -> bool:
        return beats(beat)

    own = {f"{PREFIX}HEALTH_FILE": str(beat.resolve())}
    return Part(ProcessSpec(name, command, ready, data_dir.run, {**environment, **own}), kind, health_file=beat)


def _flower(settings: Settings, port: int, data_dir: DataDir) -> ProcessSpec:
    """Flower behind its password. Everything secret comes to it by the environment."""
    host = reachable_host(settings.flower_host)

    async def ready() -> bool:
        return await http_status(host, port, "/healthcheck") == 200

    limits = (f"--max-tasks={settings.flower_max_tasks}",)
    command = (sys.executable, "-m", "celery", "flower", *limits, f"--address={settings.flower_host}", f"--port={port}")
    own = {
        "CELERY_BROKER_URL": settings.redis_address,
        "FLOWER_BASIC_AUTH": ":".join(flower_login(settings, data_dir)),
        "FLOWER_COOKIE_SECRET": data_dir.password("flower-cookie").get_secret_value(),
    }
    return ProcessSpec("flower", command, ready, data_dir.run, own)
