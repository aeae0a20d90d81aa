"""Where a worker of the fault suite dies on order, and agents that are poison.

A file `<point>-<n>` in the directory that `CODEFORGE_FAULTS_DIR` names is an order for one death at that point; who
takes it away dies by SIGKILL.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import workers.agents
import workers.suspects
from codeforge.agent import Agent, AgentContext, Message, ModelRequest
from codeforge.inputs import ScrapeInput
from codeforge.ledger.redis import RedisLedger
from codeforge.results import ScrapeResult
from codeforge.worker_types import WorkerType

DIRECTORY = "CODEFORGE_FAULTS_DIR"
BITES = {"grow": 4 << 20, "devour": 64 << 20}
GROWTH_PAUSE_S = 0.05
POINTS = ("between-pop-and-claim", "before-the-journal", "after-the-journal", "after-the-result")


def die_if_ordered(point: str) -> None:
    """Obeys one order, if there is any."""
    for order in Path(os.environ[DIRECTORY]).glob(f"{point}-*"):
        try:
            order.unlink()
        except FileNotFoundError:  # another process obeyed it
            continue
        os.kill(os.getpid(), signal.SIGKILL)


def install() -> None:
    """Puts the points into the ledger's client, and poison in the place of the scrape agent."""
    _break("claim", before="between-pop-and-claim")
    _break("record_step", before="before-the-journal", after="after-the-journal")
    _break("finish", after="after-the-result")
    usual = workers.agents._agent

    def agent(worker_type: WorkerType) -> Agent:
        return Poison() if worker_type is WorkerType.SCRAPE else usual(worker_type)

    workers.agents._agent = agent
    workers.suspects.COMMAND = (*workers.suspects.COMMAND[:-1], "tests.faults.suspects")


def _break(name: str, before: str = "", after: str = "") -> None:
    method = getattr(RedisLedger, name)

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            die_if_ordered(before)
        answer = await method(*args, **kwargs)
        if after:
            die_if_ordered(after)
        return answer

    setattr(RedisLedger, name, wrapped)


class Poison:
    """What the last part of the URL's path says: `raise`, `exit`, `spin` without an await, `grow` in memory bit by bit,
    or at one stroke (`devour`), `call` a model three times; anything else does nothing."""

    type = WorkerType.SCRAPE

    async def run(self, ctx: AgentContext, task_input: ScrapeInput) -> ScrapeResult:
        """Does it."""
        deed = (task_input.urls or [""])[0].rpartition("/")[2]
        if deed == "raise":
            raise ZeroDivisionError("poison")
        if deed == "exit":
            os._exit(1)
        while deed == "spin":
            continue
        for number in range(3 if deed == "call" else 0):
            await ctx.model(f"call {number}", ModelRequest(messages=[Message(role="user", content="Go on.")]))
        held: list[bytes] = []
        while deed in BITES:
            held.append(b"x" * BITES[deed])
            if deed == "grow":
                await asyncio.sleep(GROWTH_PAUSE_S)
        return ScrapeResult(pages=[], failed=[])
