"""What is done to Redis."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.ghost import Ghost
from tests.faults.loads import Load, debates
from tests.faults.rig import Rig
from tests.faults.verdict import Figures
from tests.servers.celery_worker import wait_until

QUEUES = tuple(f"{kind}{suffix}" for kind in ("debate", "scrape") for suffix in ("", ".high", ".low"))

WINDOW_S = 1.0
GHOST_TASKS = 5


@dataclass(frozen=True)
class Batch:
    """A client's request, and what it was answered; nothing for one that was refused."""

    key: str
    bodies: list[dict[str, Any]]
    ids: tuple[str, ...] = ()


def celery_keys_deleted(rig: Rig, load: Load, _: Figures) -> str:
    """The workers stand still, all messages go, and so does what Celery itself keeps."""
    rig.services["worker-1"].send(signal.SIGSTOP)
    rig.submit(debates(load.tasks), "load")
    ours = [name for name in rig.redis.keys("*") if not name.startswith("cf:")]
    deleted = sum(int(rig.redis.llen(name)) for name in ours if name in QUEUES)
    rig.redis.delete(*ours)
    rig.services["worker-1"].send(signal.SIGCONT)
    return f"{deleted} messages and all of Celery's keys deleted"


def redis_blackholed(rig: Rig, load: Load, _: Figures) -> str:
    """Every process loses the network to Redis for a while."""
    assert rig.engines.proxy is not None
    rig.submit(debates(load.tasks), "load")
    rig.wait_running(load.tasks // 3)
    away_s = 10 * load.faults
    rig.engines.proxy.blackhole(True)
    time.sleep(away_s)
    rig.engines.proxy.blackhole(False)
    return f"Redis blackholed for {away_s} s"


def clients_cut(rig: Rig, load: Load, _: Figures) -> str:
    """CLIENT KILL TYPE normal, every second."""
    rig.submit(debates(load.tasks), "load")
    cut = 0
    for _number in range(load.faults):
        cut += int(rig.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        time.sleep(1.0)
    return f"{load.faults} times CLIENT KILL TYPE normal, {cut} connections cut"


def redis_killed(rig: Rig, load: Load, _: Figures) -> str:
    """SIGKILL of Redis and a restart from its append-only file, which the system still holds whole."""
    rig.submit(debates(load.tasks), "load")
    for _number in range(load.faults):
        rig.wait_running(1)
        rig.engines.valkey.kill()
        time.sleep(1.0)
        rig.engines.valkey.start()
        time.sleep(3.0)
    return f"{load.faults} SIGKILLs of Redis, restarted from the AOF"


def last_second_cut_off(rig: Rig, load: Load, _: Figures) -> str:
    """SIGKILL of Redis, whose append-only file then lacks its last second, as after the death of its machine."""
    told: list[str] = []
    rig.submit(debates(load.tasks), "load")
    for number in range(load.faults):
        _wait_settling(rig)
        with Ghost(rig) as ghost:
            file = _append_only_file(rig)
            length = file.stat().st_size
            batches = _second_to_be_lost(rig, ghost, f"late-{number}")
            rig.engines.valkey.kill()
            cut = file.stat().st_size - length
            with file.open("r+b") as log:
                log.truncate(length)
            rig.engines.valkey.start()
            told.append(f"{cut // 1024} KiB cut off, {_retried(rig, batches)}; {_haunted(ghost)}")
    return f"{load.faults} SIGKILLs of Redis, restarted from an AOF without its last second: " + "; ".join(told)


def lagging_replica_promoted(*, confirmed: bool) -> Callable[[Rig, Load, Figures], str]:
    """The replica gets nothing for a second, then the master dies and Sentinel promotes the replica. `confirmed`:
    submissions wait for a replica, so none of that second is accepted."""

    def inject(rig: Rig, load: Load, _: Figures) -> str:
        pair = rig.engines.replicated
        assert pair is not None
        rig.submit(debates(load.tasks), "load")
        _wait_settling(rig)
        with Ghost(rig) as ghost:
            master = pair.master
            replica = pair.cut_off_replica(master)
            refused = _refused_ones(rig) if confirmed else []
            batches = [] if confirmed else _second_to_be_lost(rig, ghost, "late")
            master.kill()
            pair.wait_failover(master)
            pair.reconnect(replica)
            rig.follow()
            master.start()
            told = [f"replica {WINDOW_S:g} s behind promoted by Sentinel, {_retried(rig, refused + batches)}"]
            if confirmed:
                told.append(f"all {len(refused)} submissions of that second had been refused")
            else:
                told.append(_haunted(ghost))
        return "; ".join(told)

    return inject


def _wait_settling(rig: Rig) -> None:
    """Until tasks run and wait, and some have ended; what was accepted before is on disk, and on a replica by then."""
    wait_until(lambda: int(rig.redis.zcard("cf:queued:debate")) > GHOST_TASKS, "tasks that wait", 60.0)
    wait_until(lambda: "succeeded" in {row[0] for row in rig.rows("state").values()}, "a first one done", 60.0)
    rig.redis.set("barrier", 1)  # what it waits for are the writes before this one of its own connection
    on_disk, copied = rig.redis.execute_command("WAITAOF", 1, int(rig.engines.replicated is not None), 30_000)
    assert (on_disk, copied) == (1, int(rig.engines.replicated is not None))


def _append_only_file(rig: Rig) -> Path:
    return max((rig.directory / "redis").glob("appendonlydir/*.incr.aof"), key=lambda path: path.stat().st_mtime)


def _second_to_be_lost(rig: Rig, ghost: Ghost, name: str) -> list[Batch]:
    """Clients submit, workers work, and the ghost claims; nothing of it will be known."""
    began = time.monotonic()
    assert ghost.claim(GHOST_TASKS)
    batches: list[Batch] = []
    while (left_s := WINDOW_S - (time.monotonic() - began)) > 0:
        key, bodies = f"{name}-{len(batches)}", debates(5)
        batches.append(Batch(key, bodies, tuple(rig.submit(bodies, key))))
        rig.in_doubt.update(batches[-1].ids)
        time.sleep(min(0.1, left_s))
    return batches


def _refused_ones(rig: Rig) -> list[Batch]:
    """No submission is confirmed while the replica is cut off. Raises AssertionError when one is."""
    batches = [Batch(f"late-{number}", debates(5)) for number in range(3)]
    for batch in batches:
        answer = rig.offer({"tasks": batch.bodies}, f"{batch.key}-0")
        assert answer is not None
        assert (answer.status_code, answer.json()["code"]) == (503, "not_replicated"), answer.text
    return batches


def _retried(rig: Rig, batches: list[Batch]) -> str:
    """Each client repeats its requests under the same keys, and has its tasks again."""
    before = set(rig.accepted)
    again = [task_id for batch in batches for task_id in rig.submit(batch.bodies, batch.key)]
    rows = rig.rows("state")
    gone = [task_id for batch in batches for task_id in batch.ids if rows[task_id][0] is None]
    made = len(set(again) - before)
    assert len(again) == sum(len(batch.bodies) for batch in batches)
    rig.in_doubt = {task_id for task_id in rig.in_doubt if rows[task_id][0] is None}  # the others are there
    return f"{len(gone)} tasks accepted in it are gone, retries under the same keys made {made}"


def _haunted(ghost: Ghost) -> str:
    same = ghost.haunt()
    assert same, "no fence was given out twice"
    return f"{same} fences given out twice, all writes under the first claims refused"
