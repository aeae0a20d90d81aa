"""Debian's Prometheus, as a process of its own that scrapes one target; and where promtool is."""

import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from tests.servers.valkey import free_port

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
PROMTOOL = shutil.which("promtool")
SERVER = shutil.which("prometheus")
JOB = "codeforge-api"
READY_S = 60.0


class Prometheus:
    """One server, with this project's rules, on a free port of loopback. `directory` takes its data and its log."""

    def __init__(self, directory: Path, target: str, interval_s: float = 1.0) -> None:
        self.directory = directory
        self.url = f"http://127.0.0.1:{free_port()}"
        self._configuration = {
            "global": {"scrape_interval": f"{interval_s * 1000:.0f}ms", "evaluation_interval": "1s"},
            "rule_files": [str(MONITORING / "prometheus" / "rules" / "*.yaml")],
            "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [target.removeprefix("http://")]}]}],
        }
        self.process: subprocess.Popen[bytes] | None = None
        # One for all questions: each new one reads the certificates, which takes longer than its question.
        self._client = httpx.Client(base_url=self.url, trust_env=False, timeout=10.0)

    def __enter__(self) -> Self:
        if SERVER is None:
            raise RuntimeError("no prometheus here: apt-get install prometheus")
        file = self.directory / "prometheus.yaml"
        file.write_text(yaml.safe_dump(self._configuration))
        command = [SERVER, f"--config.file={file}", f"--storage.tsdb.path={self.directory / 'prometheus'}"]
        command.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        with (self.directory / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_S
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.directory / "prometheus.log").read_text()[-2000:])
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def query(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of each series now. Raises AssertionError with the server's words for a wrong expression."""
        return [
            (series["metric"], float(series["value"][1])) for series in self._get("query", query=expression)["result"]
        ]

    def value(self, expression: str) -> float:
        """The value of an expression that has one series."""
        ((_, value),) = self.query(expression)
        return value

    def alerts(self) -> set[str]:
        """The names of the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"}

    def broken_rules(self) -> list[str]:
        """What rules say that could not be evaluated."""
        groups = self._get("rules")["groups"]
        return [rule["lastError"] for group in groups for rule in group["rules"] if rule["health"] == "err"]

    def _get(self, what: str, **parameters: str) -> Any:
        answer = self._client.get(f"/api/v1/{what}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def _ready(self) -> bool:
        try:
            return self._client.get("/-/ready", timeout=2.0).status_code == 200
        except httpx.HTTPError:
            return False
