"""The stack's own life: kills, a second start, a clean end."""

import os
import signal
from pathlib import Path

import psutil
import pytest
import redis

from tests.acceptance.stack import Stack, eventually, running_stack
from tests.servers.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SETTINGS = {"ALLOW_PRIVATE_HOSTS": "127.0.0.1", "LEASE_S": "2"}


def test_killed_worker_loses_no_task_and_a_second_start_finds_the_results(tmp_path: Path, site: Site) -> None:
    with running_stack(tmp_path / "data", SETTINGS) as stack:
        urls = [site.url(f"/short-wait?n={n}") for n in range(200)]
        tasks = [{"type": "scrape", "input": {"urls": [url]}, "labels": {"run": "kill"}} for url in urls]
        answer = stack.client.post("/tasks/batch", json={"tasks": tasks})
        assert answer.status_code == 202
        eventually(lambda: stack.queues()["scrape"]["running"] > 0, "running tasks")
        os.kill(stack.ready["pids"]["worker"], signal.SIGKILL)
        eventually(lambda: _count(stack) == 200, "all 200 stored", 120)
        assert stack.stop() == 0
        _nothing_left(tmp_path)
        stack.start()
        assert _count(stack) == 200
        one = stack.client.get("/tasks", params={"limit": 1}).json()["items"][0]["id"]
        assert stack.task(one)["result"]["pages"]
        assert stack.stop(signal.SIGTERM) == 0
    _nothing_left(tmp_path)


def _count(stack: Stack) -> int:
    params: dict[str, str | int] = {"label": "run=kill", "state": "succeeded", "limit": 500}
    return sum(item["stored"] for item in stack.client.get("/tasks", params=params).json()["items"])


def _nothing_left(directory: Path) -> None:
    """No process of the stack stays: each has the data directory as its folder. The kernel may take a moment to end
    what was killed."""

    def left() -> list[str]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and str(directory) in process.cwd():
                    found.append(process.name())
            except psutil.Error:
                continue
        return found

    eventually(lambda: not left(), lambda: f"an end of {left()}", 10)


def test_new_stack_is_small_and_has_nothing_to_find(tmp_path: Path) -> None:
    with running_stack(tmp_path / "data", SETTINGS) as stack:
        found = stack.client.get("/search", params={"q": "anything"})
        assert (found.status_code, found.json().get("items")) == (200, []), found.text
        assert stack.process is not None
        root = psutil.Process(stack.process.pid)
        resident = sum(process.memory_info().rss for process in [root, *root.children(recursive=True)])
        assert resident < 900 << 20


def test_dead_child_is_restarted_and_said_so(stack: Stack) -> None:
    before = stack.ready["pids"]["reaper"]
    os.kill(before, signal.SIGKILL)
    eventually(lambda: stack.ready_file.exists() and stack.ready["pids"]["reaper"] != before, "a new reaper")
    assert "reaper" in stack.output.read_text()


def test_suspects_run_in_another_process_and_can_be_cancelled_there(stack: Stack, site: Site) -> None:
    with redis.Redis.from_url(stack.ready["redis"]) as ledger:
        ids = [stack.submit("scrape", {"urls": [site.url(path)]}, delay_s=3_600) for path in ("/bread", "/slow")]
        for task_id in ids:
            # As after two crashes in company, which cost no attempt.
            ledger.hset(f"cf:task:{task_id}", mapping={"crashes": 2, "fence": 2})
            ledger.zadd("cf:delayed:scrape", {task_id: 0}, xx=True)  # it is due
    done = stack.finished(ids[0])
    assert (done["state"], done["attempts"], len(done["result"]["pages"])) == ("succeeded", 1, 1)
    eventually(lambda: stack.task(ids[1])["state"] == "running", "the second one running")
    assert stack.client.delete(f"/tasks/{ids[1]}").status_code == 202
    eventually(lambda: stack.task(ids[1])["state"] == "cancelled", "cancelled")
    log = (stack.data_dir / "logs" / "worker.log").read_text()
    aside = [line for line in log.splitlines() if '"event": "suspect_runs_aside"' in line]
    assert all(any(task_id in line for line in aside) for task_id in ids)
    assert "Fatal Python error" not in log
