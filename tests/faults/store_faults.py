"""What is done to the graph and to the vector store."""

import threading
import time

from tests.faults.loads import Load, debates
from tests.faults.proxy import Trap
from tests.faults.rig import Rig
from tests.faults.verdict import Figures
from tests.servers.celery_worker import wait_until

COMMIT = b"\x00\x02\xb0\x12\x00\x00"
"""Bolt's COMMIT as one chunk with its end: a structure without fields, tag 0x12.
https://neo4j.com/docs/bolt/current/bolt/message/#messages-commit"""


def graph_down(rig: Rig, load: Load, _: Figures) -> str:
    """The graph server is killed while it takes writes, and stays away."""
    rig.submit(debates(load.tasks), "load")
    wait_until(lambda: any(row[0] == "1" for row in rig.rows("stored").values()), "a first one stored", 60.0)
    rig.engines.graph.kill()
    away_s = 15 * load.faults
    time.sleep(away_s)
    rig.engines.graph.start()
    return f"graph SIGKILLed and away for {away_s} s"


def vectors_down(rig: Rig, load: Load, _: Figures) -> str:
    """The vector store likewise."""
    rig.submit(debates(load.tasks), "load")
    wait_until(lambda: any(row[0] == "1" for row in rig.rows("stored").values()), "a first one stored", 60.0)
    rig.engines.vectors.kill()
    away_s = 10 * load.faults
    time.sleep(away_s)
    rig.engines.vectors.start()
    return f"vector store SIGKILLed and away for {away_s} s"


def graph_killed_in_commits(rig: Rig, load: Load, _: Figures) -> str:
    """The graph server dies with a COMMIT that reached it: at once, or when it has answered and the answer is still on
    its way. Either way nobody can tell the projector whether the write is there."""
    proxy = rig.engines.graph_proxy
    assert proxy is not None
    rig.submit(debates(load.tasks), "load")
    for number in range(load.faults):
        died = threading.Event()

        def kill(died: threading.Event = died) -> None:
            rig.engines.graph.kill()
            died.set()

        proxy.lay(Trap(COMMIT, answered=number % 2 == 1, spring=kill))
        assert died.wait(60.0), "no commit came by"
        time.sleep(1.0)
        rig.engines.graph.start()
    halves = f"{(load.faults + 1) // 2} as COMMIT arrived, {load.faults // 2} as its answer left"
    return f"{load.faults} SIGKILLs of the graph server: {halves}"
