"""`codeforge outbox` and `codeforge rebuild graph` as an operator types them, on a real ledger."""

import asyncio
import json

import pytest
from click.testing import CliRunner, Result

from codeforge.cli.main import main
from codeforge.ledger.port import Outcome
from tests.contract.ledger_engines import FAILURE, PARTITIONS, LedgerServer, opened_ledger
from tests.servers.valkey import ValkeyServer

NO_TASK = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
def url(ledger_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CODEFORGE_REDIS_URL", ledger_server.url)
    monkeypatch.setenv("CODEFORGE_OUTBOX_PARTITIONS", str(PARTITIONS))
    return ledger_server.url


def codeforge(*words: str) -> Result:
    return CliRunner().invoke(main, words)


async def _rejected(cf: LedgerServer, reason: str) -> str:
    task = await cf.submitted()
    await cf.ledger.finish((await cf.claimed(task.id)).claim, Outcome("failed", error=FAILURE))
    await cf.outbox.settle(await cf.outbox.read([0, 1], 10, 1 << 20), {task.id: reason})
    return task.id


def rejected(url: str, *reasons: str) -> list[str]:
    """Tasks whose results a store refused."""

    async def run() -> list[str]:
        async with opened_ledger(url) as cf:
            return [await _rejected(cf, reason) for reason in reasons]

    return asyncio.run(run())


def replayed(url: str, task_id: str) -> None:
    async def run() -> None:
        async with opened_ledger(url) as cf:
            await cf.ledger.replay("acme", task_id)

    asyncio.run(run())


def test_inspect_shows_depths_owners_and_letters(url: str) -> None:
    first, second = rejected(url, "graph: refused", "vectors: too large")
    text = codeforge("outbox", "inspect")
    assert (text.exit_code, text.stderr) == (0, "")
    lines = text.stdout.splitlines()
    assert lines[0] == "0 results wait, 0.0 MB of 512.0 MB"
    assert "2 dead letters" in lines
    assert lines[-2].startswith(first)
    assert lines[-2].endswith("graph: refused")
    assert lines[-1].startswith(second)

    report = json.loads(codeforge("outbox", "inspect", "--json", "--limit", "1").stdout)
    assert (report["entries"], report["bytes"], report["dead_letters"]) == (0, 0, 2)
    assert [part["number"] for part in report["partitions"]] == [0, 1]
    (letter,) = report["letters"]
    assert (letter["task_id"], letter["reason"], letter["fence"]) == (first, "graph: refused", 1)
    assert letter["at"].endswith("Z")
    assert "... and 1 more: --limit" in codeforge("outbox", "inspect", "--limit", "1").stdout


def test_retry_of_one_leaves_the_others(url: str) -> None:
    first, second = rejected(url, "graph: a", "graph: b")
    result = codeforge("outbox", "retry", first)
    assert result.exit_code == 0
    assert result.stdout == f"{first}  waits for the projector again\n1 of 1 put back\n"
    report = json.loads(codeforge("outbox", "inspect", "--json").stdout)
    assert report["entries"] == 1
    assert [letter["task_id"] for letter in report["letters"]] == [second]


def test_retry_of_all_drops_what_moved_on_and_says_so(url: str) -> None:
    moved, other = rejected(url, "graph: a", "graph: b")
    replayed(url, moved)
    result = codeforge("outbox", "retry", "--all")
    assert result.exit_code == 0
    assert f"{moved}  was replayed since; letter dropped" in result.stdout
    assert f"{other}  waits for the projector again" in result.stdout
    assert "1 of 2 put back" in result.stdout
    assert json.loads(codeforge("outbox", "inspect", "--json").stdout)["dead_letters"] == 0


def test_retry_of_a_task_without_a_letter_fails(url: str) -> None:
    (known,) = rejected(url, "graph: a")
    result = codeforge("outbox", "retry", known, NO_TASK)
    assert result.exit_code == 1
    assert result.stderr == f"{NO_TASK}  has no dead letter\n"
    assert known in result.stdout


@pytest.mark.parametrize("words", [(), ("--all", NO_TASK)])
def test_retry_wants_either_names_or_all(url: str, words: tuple[str, ...]) -> None:
    result = codeforge("outbox", "retry", *words)
    assert result.exit_code == 2
    assert "name tasks, or give --all" in result.stderr


def test_rebuild_graph_puts_every_result_back(url: str) -> None:
    rejected(url, "graph: a", "graph: b")
    result = codeforge("rebuild", "graph")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "2 of 2 tasks seen, 2 results put into the outbox" in result.stdout
    assert json.loads(codeforge("outbox", "inspect", "--json").stdout)["entries"] == 2


def test_a_ledger_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFORGE_REDIS_URL", "redis://127.0.0.1:1/0")
    result = codeforge("outbox", "inspect")
    assert result.exit_code == 1
    assert result.stderr.startswith("codeforge: the ledger cannot be reached")
    assert result.stderr.count("\n") == 1
