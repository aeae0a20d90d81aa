"""Redis and Sentinels as the manifests start them: the shipped scripts and configuration, on loopback ports instead of
pods' names."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.deploy.facts import load_yaml
from tests.deploy.kustomize import BASE
from tests.servers.valkey import free_port

STOP_S = 60.0
PASSWORDS = {"redis": 'da\\ta "1"', "sentinel": "of-the-sentinels"}
"""One with what must be quoted in a configuration."""

PORTS = {"redis": "REDIS_PORT", "sentinel": "SENTINEL_PORT"}
COUNT = 3
INFO_PERIOD_MS = 100
"""How often Sentinels ask who replicates; ten seconds by default."""


class RedisPods:
    """Three of each, all started on entry. A server that is stopped keeps its volume and may be started again.
    `server` is a real redis-server, with redis-cli beside it; with `certificates`, a directory as
    the Secret of the component redis-tls, all goes over TLS. `told` are further variables of the
    containers."""

    def __init__(
        self, directory: Path, server: Path, certificates: Path | None = None, told: Mapping[str, str] | None = None
    ) -> None:
        self._certificates = certificates
        self._directory = directory
        self._settings: dict[str, str] = load_yaml(BASE / "redis" / "config.yaml")["data"] | dict(told or {})
        self._ports = {kind: [free_port() for _ in range(COUNT)] for kind in PORTS}
        self._running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
        (directory / "scripts").mkdir()
        (directory / "bin").mkdir()
        for name, text in load_yaml(BASE / "redis" / "scripts.yaml")["data"].items():
            (directory / "scripts" / name).write_text(text)
        (directory / "bin" / "redis-server").symlink_to(server)
        (directory / "bin" / "redis-cli").symlink_to(server.with_name("redis-cli"))

    def __enter__(self) -> Self:
        for kind in PORTS:
            for number in range(COUNT):
                self.start(kind, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for started in list(self._running):
            self.kill(*started)

    def _environment(self, kind: str, number: int) -> dict[str, str]:
        """What the manifest's container gets, with a directory for the claim."""
        return {
            **self._settings,
            "PATH": f"{self._directory / 'bin'}:{os.environ['PATH']}",
            "DATA": str(self.volume(kind, number)),
            "OWN_HOST": "127.0.0.1",
            "FIRST_MASTER": f"127.0.0.1 {self._ports['redis'][0]}",
            "CODEFORGE_REDIS_SENTINELS": ",".join(f"127.0.0.1:{port}" for port in self._ports["sentinel"]),
            "CODEFORGE_REDIS_MASTER_NAME": "codeforge",
            "SENTINEL_DOWN_AFTER_MS": "500",
            "TLS": str(self._certificates or ""),
            "REDISCLI_AUTH": PASSWORDS[kind],
            "SENTINEL_PASSWORD": PASSWORDS["sentinel"],
            "REDIS_PASSWORD": PASSWORDS["redis"],
            **{name: str(self._ports[of][number]) for of, name in PORTS.items()},
        }

    def volume(self, kind: str, number: int) -> Path:
        """The claim's directory."""
        directory = self._directory / f"{kind}-{number}"
        directory.mkdir(exist_ok=True)
        return directory

    def start(self, kind: str, number: int) -> None:
        """Starts one; it may take a while until it answers."""
        script = self._directory / "scripts" / f"start-{kind}.sh"
        with self.log(kind, number).open("ab") as log:
            self._running[kind, number] = subprocess.Popen(
                ["bash", script], env=self._environment(kind, number), stdout=log, stderr=log
            )

    def log(self, kind: str, number: int) -> Path:
        """What it says."""
        return self._directory / f"{kind}-{number}.log"

    def kill(self, kind: str, number: int) -> None:
        """SIGKILL."""
        process = self._running.pop((kind, number))
        process.kill()
        process.wait(STOP_S)

    def lose_volume(self, number: int) -> None:
        """The claim of a stopped Redis is empty again."""
        shutil.rmtree(self.volume("redis", number))

    def run(self, script: str, kind: str, number: int) -> int:
        """Runs another of the scripts, as a probe or a hook does; its exit code."""
        command = ["bash", str(self._directory / "scripts" / script), str(self._ports[kind][number])]
        done = subprocess.run(
            command, env=self._environment(kind, number), capture_output=True, timeout=60, check=False
        )
        return done.returncode

    def client(self, kind: str, number: int) -> "redis.Redis":
        """A client of one of them."""
        return redis.Redis(
            host="127.0.0.1",
            port=self._ports[kind][number],
            password=PASSWORDS[kind],
            socket_timeout=STOP_S,
            decode_responses=True,
            ssl=self._certificates is not None,
            ssl_ca_certs=None if self._certificates is None else str(self._certificates / "ca.crt"),
        )

    @property
    def settings(self) -> dict[str, str]:
        """The settings of ours that lead to them."""
        secure = (
            {"redis_tls": "true", "redis_ca_file": str(self._certificates / "ca.crt")} if self._certificates else {}
        )
        return secure | {
            "redis_sentinels": ",".join(f"127.0.0.1:{port}" for port in self._ports["sentinel"]),
            "redis_master_name": "codeforge",
            "redis_password": PASSWORDS["redis"],
            "redis_sentinel_password": PASSWORDS["sentinel"],
        }

    def all_ready(self) -> bool:
        """Whether every Redis passes its readiness probe, and the master takes writes."""
        probed = all(self.run("ready.sh", "redis", number) == 0 for number in range(COUNT))
        return probed and any(self.takes_writes(number) for number in range(COUNT))

    def takes_writes(self, number: int) -> bool:
        """Whether this Redis is a master that has heard from its replicas: up to a second after those have caught up it
        still refuses what it is told to have copied (`min-replicas-to-write`)."""
        with self.client("redis", number) as client:
            told = client.info("replication")
        return bool(told["role"] == "master" and told.get("min_slaves_good_slaves", 0) >= 1)

    def sentinels_agree(self) -> bool:
        """Whether every Sentinel knows both replicas and both other Sentinels."""
        return all(self._knows_all(number) for number in range(COUNT))

    def _knows_all(self, number: int) -> bool:
        try:
            with self.client("sentinel", number) as client:
                client.execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", INFO_PERIOD_MS)
                found = [client.execute_command("SENTINEL", what, "codeforge") for what in ("REPLICAS", "SENTINELS")]
        except redis.ConnectionError:
            return False
        return [len(each) for each in found] == [COUNT - 1, COUNT - 1]

    def master(self) -> int:
        """Which Redis the first Sentinel holds for the master."""
        with self.client("sentinel", 0) as client:
            _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "codeforge")
        return self._ports["redis"].index(int(port))
