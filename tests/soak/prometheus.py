"""A real Prometheus that scrapes the stack, and what it knows."""

import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.servers.valkey import free_port

SCRAPE_S = 2
READY_S = 30.0
STOP_S = 15.0
RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "prometheus" / "rules"


class Prometheus:
    """Debian's `prometheus`, from entering the context to leaving it, with the rules that are deployed.

    Raises RuntimeError when the program is not there or does not come up.
    """

    def __init__(self, directory: Path, api: str) -> None:
        program = shutil.which("prometheus")
        if program is None:
            raise RuntimeError("prometheus is not on PATH: apt-get install prometheus")
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "prometheus.yaml"
        rules = f"rule_files: ['{RULES}/*.yaml']\n" if RULES.is_dir() else ""
        config.write_text(
            f"global: {{scrape_interval: {SCRAPE_S}s, evaluation_interval: {SCRAPE_S}s}}\n{rules}"
            "scrape_configs:\n"
            f"- {{job_name: codeforge-api, static_configs: [{{targets: ['{api.removeprefix('http://')}']}}]}}\n"
        )
        self._command = [
            program, f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn",
        ]  # fmt: skip
        self._log = directory / "prometheus.log"
        self._client = httpx.Client(base_url=self.url, trust_env=False, timeout=20.0)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's vector: `metric` and `value` of each sample."""
        answer = self._client.get("/api/v1/query", params={"query": expression}).raise_for_status().json()
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def values(self, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The same by the values of these labels."""
        return {
            tuple(sample["metric"].get(label, "") for label in labels): float(sample["value"][1])
            for sample in self.query(expression)
        }

    def firing(self) -> set[str]:
        """The names of all alerts that ever fired."""
        found = self.query('count by (alertname) (last_over_time(ALERTS{alertstate="firing"}[6h]))')
        return {sample["metric"]["alertname"] for sample in found}

    def scraped_since(self, moment: float) -> bool:
        """Whether a scrape that succeeded began after this moment, in seconds since 1970."""
        up, begun = self.values("min(up)"), self.values("min(timestamp(up))")
        return up == {(): 1.0} and begun[()] > moment

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_S
        while True:
            try:
                if self._client.get("/-/ready").status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError(f"Prometheus does not come up: {self._log.read_text()[-1000:]}")
            time.sleep(0.1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_S)
