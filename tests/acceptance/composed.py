"""The processes of the Compose file as it starts them, without containers: each one's own command, environment, secrets
and health check, from exactly the files of its image. What a container would give is put in place of it: engines on
loopback instead of names, a health file of its own instead of /tmp, no image of others."""

import compileall
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.stack import eventually
from tests.deploy.compose import DIRECTORY, example_variables, interpolated, own, raw_project, seconds
from tests.deploy.dockerfiles import Dockerfile
from tests.deploy.facts import HEALTH_FILE, OWN_IMAGES, ROOT, image_files
from tests.servers.arcadedb import ArcadeDbServer
from tests.servers.qdrant import QdrantServer
from tests.servers.valkey import ValkeyServer, free_port

Environment = dict[str, str]

HEALTHY_S = 120.0
SCRIPT_S = 60.0


class Service:
    """One process of ours. `stop_s` is what Compose grants it."""

    def __init__(self, name: str, service: dict[str, Any], directory: Path, replaced: Mapping[str, str]) -> None:
        self.name = name
        self.stop_s = seconds(service["stop_grace_period"])
        image = service["image"].partition(":")[0]
        dockerfile = Dockerfile.parse((ROOT / OWN_IMAGES[image]).read_text(encoding="utf-8"))
        app = directory / image
        health_file = str(directory / f"{name}.health")
        made = dockerfile.environment | service["environment"] | replaced
        made |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(app), "CODEFORGE_HEALTH_FILE": health_file}
        self._environment = made
        self._app = app
        self._output = directory / f"{name}.log"
        self._check = [word.replace(HEALTH_FILE, health_file) for word in service["healthcheck"]["test"][1:]]
        self._check = [word.replace(":8080", f":{replaced['CODEFORGE_API_PORT']}") for word in self._check]
        entrypoint = json.loads(dockerfile.of_last("ENTRYPOINT")[-1])
        self._process = self._start([*entrypoint, *service["command"]])

    def _start(self, words: list[str]) -> "subprocess.Popen[bytes]":
        with self._output.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, *words[1:]], env=self._environment, cwd=self._app, stdout=output, stderr=output
            )

    @property
    def output(self) -> str:
        """What it wrote."""
        return self._output.read_text(errors="replace")

    def is_healthy(self) -> bool:
        """Whether the file's own health check says so. Raises AssertionError with its output when it has ended."""
        assert self._process.poll() is None, f"{self.name} ended:\n{self.output[-3000:]}"
        words = [sys.executable, *self._check[1:]]
        result = subprocess.run(
            words, env=self._environment, cwd=self._app, capture_output=True, timeout=SCRIPT_S, check=False
        )
        return result.returncode == 0

    def ask_to_stop(self) -> None:
        """SIGTERM, as Compose sends it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stopped(self) -> int:
        """Its exit code, within the time that Compose grants it. Raises subprocess.TimeoutExpired."""
        return self._process.wait(self.stop_s)

    def kill(self) -> None:
        """SIGKILL, for a test that failed."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(self.stop_s)


class Composed:
    """All processes of a profile, healthy, with the engines that they speak to."""

    def __init__(self, services: list[Service], client: httpx.Client) -> None:
        self.services = services
        self.client = client

    def stop(self) -> dict[str, int]:
        """Asks all to stop at once; the exit codes."""
        for service in self.services:
            service.ask_to_stop()
        return {service.name: service.stopped() for service in self.services}


def _unhealthy(service: Service) -> str:
    return f"{service.name} healthy\n{service.output[-2000:]}"


def project(variables: Mapping[str, str]) -> dict[str, Any]:
    """The Compose file with env.example's variables and these."""
    shown: dict[str, Any] = interpolated(raw_project(), {**example_variables(), **variables})
    return shown


def new_secrets(directory: Path) -> str:
    """Makes the secrets as a user does; the API key that the script shows once."""
    command = ["sh", str(DIRECTORY / "new-secrets.sh"), str(directory)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=SCRIPT_S, check=True).stdout
    (key,) = re.findall(r"shown this once: (\w+)", said)
    return str(key)


@contextmanager
def running_engines(directory: Path, secrets: Path) -> Iterator[Environment]:
    """Redis, graph and vectors with the passwords of the secrets; gives the settings that name them."""
    password = (secrets / "redis_password").read_text().strip()
    places = [directory / name for name in ("redis", "graph", "vectors")]
    for place in places:
        place.mkdir()
    redis = ValkeyServer(places[0], options=["--requirepass", password])
    graph = ArcadeDbServer(places[1], (secrets / "neo4j_password").read_text().strip())
    vectors = QdrantServer(places[2])
    with ExitStack() as ending:
        for engine in (redis, graph, vectors):
            ending.callback(engine.kill)
            engine.start()
        yield {
            "CODEFORGE_REDIS_HOST": "127.0.0.1",
            "CODEFORGE_REDIS_PORT": str(redis.port),
            "CODEFORGE_NEO4J_URI": graph.uri,
            "CODEFORGE_NEO4J_USER": graph.user,
            "CODEFORGE_QDRANT_URL": vectors.url,
        }


@contextmanager
def composed(directory: Path, profile: str, variables: Mapping[str, str]) -> Iterator[Composed]:
    """The profile's processes, all healthy; they are ended whatever happens."""
    secrets = directory / "secrets"
    key = new_secrets(secrets)
    for image, dockerfile in OWN_IMAGES.items():
        image_files(dockerfile, directory / image)
        compileall.compile_dir(directory / image, quiet=2)  # as the image is: each process would do it for itself
    with running_engines(directory, secrets) as engines, ExitStack() as ending:
        port = str(free_port())
        replaced = engines | {"CODEFORGE_SECRETS_DIR": str(secrets)}
        replaced |= {"CODEFORGE_API_HOST": "127.0.0.1", "CODEFORGE_API_PORT": port}
        services = []
        for name, _, declared in own(project(variables)):
            if profile in declared.get("profiles", [profile]):
                services.append(Service(name, declared, directory, replaced))
                ending.callback(services[-1].kill)
        for each in services:
            eventually(each.is_healthy, partial(_unhealthy, each), HEALTHY_S)
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20.0, trust_env=False
        ) as client:
            yield Composed(services, client)
