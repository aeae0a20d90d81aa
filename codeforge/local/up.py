"""`codeforge up`: the whole stack on one machine, from its options to its end."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from codeforge.errors import SettingsError
from codeforge.local.data_dir import DataDir
from codeforge.local.engines import Engine, embedded_engines, overruled, plan_engines
from codeforge.local.leftovers import kill_leftovers
from codeforge.local.options import UpOptions
from codeforge.local.part import Part
from codeforge.local.ports import PORT_OPTIONS, settle_ports
from codeforge.local.ready_file import Addresses, write_ready_file
from codeforge.local.services import flower_login, reachable_host, service_parts, worker_parts
from codeforge.local.supervisor import Halt, Supervisor
from codeforge.settings import Settings, load_settings, process_environment, settings_environment
from codeforge.web.guard import AddressGuard
from codeforge.wiring.embeddings import check_dimension, check_embeddings
from codeforge.worker_types import GENERAL, WorkerType

LOCAL_DRAIN_S = "5"
CHILD_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",  # a log shows what happened up to the moment of a kill
    "MALLOC_ARENA_MAX": "2",  # glibc's arena for each thread costs every process tens of megabytes
}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stack:
    """What will run, and where."""

    parts: tuple[Part, ...]
    addresses: Addresses
    environment: Mapping[str, str] = field(repr=False)


def run_stack(options: UpOptions, say: Say) -> None:
    """Starts everything, and returns once all was stopped by Ctrl-C, SIGTERM or SIGHUP.

    `say` gets the progress, a line at a time. Raises SettingsError before anything starts, and StackError with all
    stopped again.
    """
    settings = load_settings(options.overrides)
    _check_what_children_need(settings)
    engines = embedded_engines(options)
    data_dir = DataDir(options.data_dir.expanduser().absolute())
    data_dir.prepare()
    with data_dir.locked(), data_dir.named():
        for name in kill_leftovers(data_dir.children):
            say(f"{name} of an earlier run, which had crashed, was still running: killed")
        hosts = {"api": settings.api_host, "flower": settings.flower_host}
        ports = settle_ports(wanted_ports(options, settings, engines), hosts)
        stack = plan_stack(options, settings, engines, ports, data_dir)
        say(f"starting in {data_dir.root}")
        with _removed(options.ready_file):
            asyncio.run(_supervise(stack, data_dir, options.ready_file, say))


@contextmanager
def _removed(ready_file: Path | None) -> Iterator[None]:
    """The ready file is there while the stack is ready, and neither before nor after."""
    if ready_file is None:
        yield
        return
    if not ready_file.parent.is_dir():
        raise SettingsError(f"--ready-file: {ready_file.parent} is not a directory")
    try:
        ready_file.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"--ready-file: {ready_file} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        ready_file.unlink(missing_ok=True)


def plan_stack(
    options: UpOptions, settings: Settings, engines: tuple[Engine, ...], ports: Mapping[str, int], data_dir: DataDir
) -> Stack:
    """The parts and addresses of a stack on these ports."""
    started = plan_engines(engines, ports, data_dir, settings)
    own = {**started.settings, "api_host": settings.api_host, "api_port": str(ports["api"])}
    if "drain_s" not in settings.model_fields_set:
        own["drain_s"] = LOCAL_DRAIN_S
    given = {name.lower(): value for name, value in options.overrides.items()}
    unset = overruled(options)
    environment = settings_environment({**given, **own}, (*started.replaced, *unset))
    # As the children will read them: what points to an engine that is replaced here does not count.
    effective = load_settings({**dict.fromkeys(unset), **given, **own})
    parts = (
        *started.parts,
        *service_parts(effective, environment, ports, data_dir),
        *worker_parts(environment, data_dir, _worker_types(options, given)),
    )
    addresses = _addresses(effective, ports, data_dir)
    return Stack(parts, addresses, {**process_environment(), **CHILD_ENVIRONMENT})


def _check_what_children_need(settings: Settings) -> None:
    """What no process of the stack would start with is told before any starts. Raises SettingsError."""
    check_embeddings(settings)
    check_dimension(settings)
    AddressGuard(settings.allow_private_hosts)


async def _supervise(stack: Stack, data_dir: DataDir, ready_file: Path | None, say: Say) -> None:
    announced = False

    def running(pids: Mapping[str, int]) -> None:
        nonlocal announced
        if ready_file is not None:
            write_ready_file(ready_file, stack.addresses, pids)
        if not announced:
            _announce(stack.addresses, data_dir, say)
            announced = True

    supervisor = Supervisor(stack.parts, data_dir, stack.environment, say=say, running=running)
    with Halt().on_signals() as halt:
        await supervisor.run(halt)


def wanted_ports(options: UpOptions, settings: Settings, engines: tuple[Engine, ...]) -> dict[str, int]:
    """The ports asked for, by the names of PORT_OPTIONS: an option's, or else a setting's."""
    names = ("api", "flower", *(port for engine in engines for port in engine.ports))
    chosen = {"api": settings.api_port, "flower": settings.flower_port}
    defaults = {name: PORT_OPTIONS[name].default for name in names} | chosen
    return {name: options.ports.get(name, default) for name, default in defaults.items()}


def _worker_types(options: UpOptions, given: Mapping[str, str]) -> list[str]:
    if options.workers == "general":
        return [given.get("worker_type", GENERAL)]
    if "worker_type" in given:
        raise SettingsError("--set WORKER_TYPE: --workers each starts a worker of every type")
    return [worker_type.value for worker_type in WorkerType]


def _addresses(settings: Settings, ports: Mapping[str, int], data_dir: DataDir) -> Addresses:
    password = settings.neo4j_password
    flower_user, flower_password = flower_login(settings, data_dir)
    return Addresses(
        api=_address(settings.api_host, ports["api"]),
        flower=_address(settings.flower_host, ports["flower"]),
        flower_user=flower_user,
        flower_password=flower_password,
        redis=settings.redis_address,
        bolt=settings.neo4j_address,
        bolt_user=settings.neo4j_user,
        bolt_password=password.get_secret_value() if password is not None else "",
        qdrant=settings.qdrant_address,
    )


def _address(bound: str, port: int) -> str:
    host = reachable_host(bound)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _announce(addresses: Addresses, data_dir: DataDir, say: Say) -> None:
    say("")
    say(f"API     {addresses.api}")
    say(f"UI      {addresses.api}/ui")
    say(f"Flower  {addresses.flower}  user {addresses.flower_user}, password {addresses.flower_password}")
    say(f"Logs    {data_dir.root / 'logs'}")
    say("Ready. Ctrl-C stops everything.")
