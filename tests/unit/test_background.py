"""The loop that the projector and the reaper share."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from codeforge.background import Background
from codeforge.errors import GraphUnavailable, LedgerUnavailable
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeforge.background.FIRST_PAUSE_S", 0.001)


def turns(background: Background, *errors: Exception | None) -> Callable[[], Awaitable[None]]:
    """A turn that raises these, one after another, and tells the loop to stop after the last."""
    left = list(errors)

    async def turn() -> None:
        error = left.pop(0)
        if not left:
            background.stopping.set()
        if error is not None:
            raise error

    return turn


async def run(background: Background, turn: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await background.run(turn)


async def test_outage_is_logged_and_the_turn_repeated() -> None:
    background = Background("test", None)
    errors = [LedgerUnavailable("away"), GraphUnavailable("away"), None]
    with capture_logs() as logs:
        await run(background, turns(background, *errors))
    assert [(entry["event"], entry["code"]) for entry in logs] == [
        ("turn_failed", "ledger_unavailable"),
        ("turn_failed", "graph_unavailable"),
    ]


async def test_bug_ends_the_process() -> None:
    background = Background("test", None)
    with pytest.raises(KeyError):
        await run(background, turns(background, KeyError("bug"), None))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_the_loop_after_its_turn(number: int) -> None:
    background, done = Background("test", None), []

    async def turn() -> None:
        os.kill(os.getpid(), number)
        await background.stopping.wait()
        done.append(1)

    await run(background, turn)
    assert done == [1]


async def test_signal_ends_a_pause() -> None:
    background = Background("test", None)

    async def turn() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await background.pause(60)

    await run(background, turn)


async def test_pause_ends_by_itself() -> None:
    async with asyncio.timeout(PATIENCE_S):
        await Background("test", None).pause(0.001)


async def test_health_file_is_touched_while_it_turns(tmp_path: Path) -> None:
    background, path = Background("test", tmp_path / "health"), tmp_path / "health"

    async def turn() -> None:
        if path.exists():
            background.stopping.set()
        await background.pause(0.001)

    await run(background, turn)


async def test_health_file_that_cannot_be_written_ends_the_process(tmp_path: Path) -> None:
    background = Background("test", tmp_path / "missing" / "health")
    with pytest.raises(FileNotFoundError):
        await run(background, lambda: background.pause(0.001))


async def test_what_runs_beside_it_is_ended_with_it() -> None:
    background, ended = Background("test", None), asyncio.Event()

    async def beside() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def turn() -> None:
        await asyncio.sleep(0)
        background.stopping.set()

    async with asyncio.timeout(PATIENCE_S):
        await background.run(turn, beside)
    assert ended.is_set()


@pytest.mark.parametrize("error", [KeyError("bug"), None])
async def test_death_of_what_runs_beside_it_is_logged_and_ends_the_process(error: Exception | None) -> None:
    background = Background("test", None)

    async def beside() -> None:
        if error is not None:
            raise error

    with capture_logs() as logs, pytest.raises((KeyError, RuntimeError)):
        async with asyncio.timeout(PATIENCE_S):
            await background.run(lambda: background.pause(0.001), beside)
    assert [entry["event"] for entry in logs] == ["task_died"]
