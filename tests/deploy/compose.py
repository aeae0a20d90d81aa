"""The Compose file as data: interpolated with env.example, and the rules that it obeys."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from celery.bin.worker import worker as celery_worker
from click import ClickException, Context
from compose_spec import PyCompose

from codeforge.cli.main import main
from codeforge.worker_types import GENERAL, WorkerType
from tests.deploy.facts import (
    BEAT_PROBE,
    OPTIONAL_SECRETS,
    OWN_IMAGES,
    REQUIRED_SECRETS,
    ROOT,
    STOP_MARGIN_S,
    image_fault,
    load_yaml,
    secret_for,
    secret_settings,
    setting_of,
    settings_from,
    unknown_variables,
    worker_secrets,
)

DIRECTORY = ROOT / "deploy" / "compose"
ENGINES = {"redis", "neo4j", "qdrant"}
WATCHERS = {"prometheus", "grafana"}
PUBLISHED = {"api", "flower"} | WATCHERS
PROFILES = {"small": (GENERAL,), "full": tuple(WorkerType)}

Project = dict[str, Any]
Service = dict[str, Any]

HEALTHCHECK_KEYS = {"test", "interval", "timeout", "retries", "start_period"}

VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\}|)")
DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")


class InterpolationError(Exception):
    """A `$` that Compose would refuse, or a variable that is not set and must be."""


def example_variables() -> dict[str, str]:
    """What env.example sets."""
    lines = (DIRECTORY / "env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def raw_project() -> Project:
    """The file, with anchors resolved, without its extension fields."""
    content = load_yaml(DIRECTORY / "compose.yaml")
    return {name: part for name, part in content.items() if not name.startswith("x-")}


def interpolated(part: Any, variables: dict[str, str]) -> Any:
    """As Compose does it: `${NAME:-default}`, `${NAME:?message}`, and `$$` for one `$`. Raises InterpolationError."""
    if isinstance(part, dict):
        return {name: interpolated(value, variables) for name, value in part.items()}
    if isinstance(part, list):
        return [interpolated(value, variables) for value in part]
    return VARIABLE.sub(lambda match: _value(match, variables), part) if isinstance(part, str) else part


def _value(match: re.Match[str], variables: dict[str, str]) -> str:
    escaped, name, operator, operand = match.groups()
    if escaped:
        return "$"
    if name is None:
        raise InterpolationError(f"a lone $ in {match.string!r}")
    if variables.get(name):
        return variables[name]
    if operator == "-":
        return str(operand)
    raise InterpolationError(f"{name}: {operand or 'not set'}")


def variables_of(part: Any) -> set[str]:
    """The variables that the file uses."""
    return {match[2] for match in VARIABLE.finditer(str(part)) if match[2]}


def seconds(duration: str) -> float:
    """Of `2m`, `45s`."""
    match = DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(duration)
    return 60 * int(match[1] or 0) + int(match[2] or 0)


def own(project: Project) -> Iterator[tuple[str, str, Service]]:
    """Our services: name, process, service."""
    for name, service in project["services"].items():
        if name not in ENGINES | WATCHERS:
            yield name, "worker" if name.startswith("worker") else name, service


def schema(project: Project) -> Iterator[str]:
    """As the Compose specification has it: names, types, units, durations, ports, conditions."""
    try:
        PyCompose.from_yaml(yaml.safe_dump(project))
    except ValueError as error:
        yield str(error)


def bound(service: Service) -> Iterator[str]:
    """The files and directories beside the Compose file that a service mounts."""
    sources = [entry.partition(":")[0] for entry in service.get("volumes", [])]
    yield from (source for source in sources if source.startswith("."))


def given_secrets(service: Service) -> dict[str, str]:
    """The files that a service finds in /run/secrets, and which secret each of them is."""
    entries = [{"source": entry} if isinstance(entry, str) else entry for entry in service.get("secrets", [])]
    return {entry.get("target", entry["source"]): entry["source"] for entry in entries}


def mounts(project: Project) -> Iterator[str]:
    """What is mounted out of the repository is there, and is not written to."""
    for name, service in project["services"].items():
        for source in bound(service):
            if not (DIRECTORY / source).exists():
                yield f"{name}: there is no {source}"
        for entry in service.get("volumes", []):
            if entry.startswith(".") and not entry.endswith(":ro"):
                yield f"{name}: may write to {entry}"


def references(project: Project) -> Iterator[str]:
    """Networks, volumes and secrets that are used are declared, and the other way round; nobody waits for a service
    that another profile may leave out, or that cannot tell when it is healthy."""
    services = project["services"]
    used = {
        "networks": {name for service in services.values() for name in service["networks"]},
        "secrets": {name for service in services.values() for name in given_secrets(service).values()},
        "volumes": {
            entry.partition(":")[0]
            for service in services.values()
            for entry in service.get("volumes", [])
            if not entry.startswith(".")
        },
    }
    for kind, found in used.items():
        yield from (f"{kind}: {name} is used or declared, not both" for name in sorted(found ^ set(project[kind])))
    for name, service in services.items():
        for other, condition in service.get("depends_on", {}).items():
            if condition != {"condition": "service_healthy"}:
                yield f"{name}: does not wait until {other} is healthy"
            if other not in services or "healthcheck" not in services[other] or "profiles" in services[other]:
                yield f"{name}: waits for {other}, which may never be healthy"


def reachability(project: Project) -> Iterator[str]:
    """Engines are on internal networks alone; who is told of an engine shares a network with it and waits for it."""
    services = project["services"]
    for name in ENGINES:
        for network in services[name]["networks"]:
            if not (project["networks"][network] or {}).get("internal"):
                yield f"{name}: {network} is not internal"
    for name, _, service in own(project):
        for engine in ENGINES & set(service["environment"].values()):
            if not set(service["networks"]) & set(services[engine]["networks"]):
                yield f"{name}: shares no network with {engine}"
            if engine not in service.get("depends_on", {}):
                yield f"{name}: does not wait for {engine}"


def published(project: Project) -> Iterator[str]:
    """The API and Flower are reachable, from this machine; nothing else is."""
    for name, service in project["services"].items():
        if ("ports" in service) != (name in PUBLISHED):
            yield f"{name}: published, or should be"
        for port in service.get("ports", []):
            if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port):
                yield f"{name}: {port} is not on loopback"


def images(project: Project) -> Iterator[str]:
    """Images have exact tags; ours are built from the Dockerfile of that name."""
    for name, service in project["services"].items():
        if fault := image_fault(service["image"]):
            yield f"{name}: {fault}"
        dockerfile = OWN_IMAGES.get(service["image"].partition(":")[0])
        if service.get("build", {}).get("dockerfile") != dockerfile:
            yield f"{name}: built from {service.get('build')}"
    for name, process, service in own(project):
        if not service["image"].startswith("codeforge-worker:" if process == "worker" else "codeforge-api:"):
            yield f"{name}: runs {service['image']}"


def hardening(project: Project) -> Iterator[str]:
    """Nobody is root, has a capability, or writes where nothing is kept; nobody takes all memory or fills the disk."""
    for name, service in project["services"].items():
        wanted = {
            "cap_drop": service.get("cap_drop") == ["ALL"],
            "security_opt": service.get("security_opt") == ["no-new-privileges:true"],
            "read_only": service.get("read_only") is True or name == "neo4j",
            "tmpfs": any(entry.startswith("/tmp:") for entry in service.get("tmpfs", [])) or name == "neo4j",
            "init": service.get("init") is True or name == "neo4j",
            "restart": service.get("restart") == "unless-stopped",
            "mem_limit": "mem_limit" in service,
            "logging": "max-size" in service.get("logging", {}).get("options", {}),
            "healthcheck": set(service.get("healthcheck", {})) == HEALTHCHECK_KEYS,
            "user": service.get("user", "1").partition(":")[0] not in {"0", "root"},
        }
        yield from (f"{name}: {what}" for what, right in wanted.items() if not right)


def health(project: Project) -> Iterator[str]:
    """What has no port is judged by its health file."""
    for name, process, service in own(project):
        test = service.get("healthcheck", {}).get("test")
        if process not in PUBLISHED and test != ["CMD", *BEAT_PROBE]:
            yield f"{name}: the health check is {test}"


def secrets(project: Project) -> Iterator[str]:
    """Secrets are files, and each process has those that it needs; who only searches has a key that only reads."""
    for name, process, service in own(project):
        expected = REQUIRED_SECRETS[process] | OPTIONAL_SECRETS.get(process, set())
        if process == "worker":
            expected = expected | worker_secrets(service["environment"])
        given = given_secrets(service)
        if set(given) != expected:
            yield f"{name}: secrets {sorted(set(given) ^ expected)} are missing or too many"
        for setting, secret in given.items():
            if secret != secret_for(process, setting):
                yield f"{name}: {setting} is the secret {secret}"
    for name, service in project["services"].items():
        for variable in service.get("environment", {}):
            words = {"PASSWORD", "KEY", "SECRET", "TOKEN", "AUTH"} & set(variable.upper().split("_"))
            if setting_of(variable) in secret_settings() or (words and not variable.endswith("_FILE")):
                yield f"{name}: {variable} is a secret in plain sight"
    for name, secret in project["secrets"].items():
        if secret != {"file": f"./secrets/{name}"}:
            yield f"secret {name}: {secret}"


def settings(project: Project) -> Iterator[str]:
    """Every process starts with what it is told."""
    for name, process, service in own(project):
        environment = service["environment"]
        yield from (f"{name}: no setting {variable}" for variable in unknown_variables(environment))
        if environment.get("CODEFORGE_SECRETS_DIR") != "/run/secrets":
            yield f"{name}: does not read /run/secrets"
        loaded = settings_from(environment, REQUIRED_SECRETS[process])
        if isinstance(loaded, str):
            yield f"{name}: {loaded}"
        elif loaded.embeddings_base_url is None and process in {"api", "projector", "worker"}:
            yield f"{name}: no embeddings service, and the images hold no embeddings"
        elif loaded.api_host != "0.0.0.0" and process == "api":
            yield f"{name}: listens inside its container only"


def commands(project: Project) -> Iterator[str]:
    """Each of our processes is started with words that its command line takes."""
    for name, process, service in own(project):
        words = list(service.get("command", []))
        try:
            if process == "worker":
                celery_worker.make_parser(Context(celery_worker)).parse_args(words)
            else:
                called, command, rest = main.resolve_command(Context(main), words)
                assert command is not None
                command.make_context(called, rest)
        except ClickException as error:
            yield f"{name}: {error.format_message()}"


def workers(project: Project) -> Iterator[str]:
    """`small` has one worker for all types, `full` one for each, and each has the time to hand its tasks back."""
    for profile, types in PROFILES.items():
        found = [
            service["environment"]["CODEFORGE_WORKER_TYPE"]
            for _, process, service in own(project)
            if process == "worker" and service.get("profiles") == [profile]
        ]
        if sorted(found) != sorted(types):
            yield f"profile {profile}: the workers serve {found}"
    for name, process, service in own(project):
        if process == "worker":
            drain_s = float(service["environment"]["CODEFORGE_DRAIN_S"])
            if seconds(service.get("stop_grace_period", "10s")) < drain_s + STOP_MARGIN_S:
                yield f"{name}: killed after {service.get('stop_grace_period', '10s')}, drains for {drain_s:.0f} s"
