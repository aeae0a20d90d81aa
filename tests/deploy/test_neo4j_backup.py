"""The job that has Neo4j dumped, against a server that answers as the Kubernetes API does."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.facts import load_yaml
from tests.deploy.kustomize import BASE, K8S
from tests.deploy.schemas import schema_fault
from tests.servers.canned import Answer, CannedServer, Request

POD = "/api/v1/namespaces/codeforge-ai/pods/neo4j-0"
READY = [{"type": "Ready", "status": "True"}]


def pod(uid: str, message: str | None = None, conditions: list[dict[str, str]] | None = None) -> Answer:
    """The pod, with what its container `backup` said once it has ended."""
    state: dict[str, Any] = {"running": {}} if message is None else {"terminated": {"message": f"{message}\n"}}
    status = {"initContainerStatuses": [{"name": "backup", "state": state}], "conditions": conditions or []}
    return Answer(200, {"metadata": {"name": "neo4j-0", "uid": uid}, "status": status})


def course(*steps: Answer) -> Callable[[Request], Answer]:
    """The former pod until it is deleted, then these answers, the last one for ever."""
    left = list(steps)
    deleted: list[bool] = []

    def answer(request: Request) -> Answer:
        if request.method == "DELETE":
            deleted.append(True)
            return pod("former")
        if not deleted:
            return pod("former", "dumped: long ago", READY)
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def run(tmp_path: Path, server: CannedServer, deadline_s: float = 50.0) -> "subprocess.CompletedProcess[str]":
    """The script of the ConfigMap, as the CronJob starts it."""
    (tmp_path / "token").write_text("a-token")
    script = tmp_path / "backup.py"
    script.write_text(load_yaml(BASE / "neo4j" / "backup-script.yaml")["data"]["backup.py"])
    told = {
        "API": server.url,
        "ACCOUNT": str(tmp_path),
        "NAMESPACE": "codeforge-ai",
        "POD": "neo4j-0",
        "DEADLINE_S": str(deadline_s),
        "POLL_S": "0.01",
    }
    return subprocess.run(
        [sys.executable, script], env={**os.environ, **told}, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_pod_is_replaced_once_and_the_dump_is_waited_for(tmp_path: Path) -> None:
    steps = course(
        pod("former", "dumped: long ago", READY),  # on its way out
        Answer(404, {"kind": "Status"}),
        Answer(500, {"kind": "Status"}),
        pod("new"),
        pod("new", "dumped: 20261126T032342Z, 1.2G"),
        pod("new", "dumped: 20261126T032342Z, 1.2G", READY),
    )
    with CannedServer(steps) as server:
        done = run(tmp_path, server)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "dumped: 20261126T032342Z, 1.2G"), done
    (deletion,) = [request for request in server.requests if request.method == "DELETE"]
    assert deletion.path == POD
    assert deletion.headers["authorization"] == "Bearer a-token"
    assert deletion.body == {"preconditions": {"uid": "former"}}


@pytest.mark.parametrize("said", ["failed: dump of neo4j", "skipped: no database yet", ""])
def test_no_dump_is_a_failed_job(tmp_path: Path, said: str) -> None:
    with CannedServer(course(pod("new", said, READY))) as server:
        assert run(tmp_path, server).returncode == 1


def test_a_pod_that_does_not_come_back_is_a_failed_job(tmp_path: Path) -> None:
    with CannedServer(course(pod("new", "dumped: 20261126T032342Z, 1.2G"))) as server:
        done = run(tmp_path, server, deadline_s=0.5)
    assert (done.returncode, done.stderr.strip()) == (1, "no ready pod in time")


@pytest.mark.parametrize("name", ["redis.yaml", "neo4j.yaml"])
def test_the_pods_for_a_restore_are_valid_and_run_what_the_engines_run(name: str) -> None:
    restore = load_yaml(K8S / "restore" / name)
    engine = load_yaml(BASE / name.removesuffix(".yaml") / "stateful-set.yaml")["spec"]["template"]["spec"]
    assert schema_fault(restore) is None
    assert restore["spec"]["containers"][0]["image"] == engine["containers"][0]["image"]
    assert restore["spec"]["securityContext"].items() <= engine["securityContext"].items()
