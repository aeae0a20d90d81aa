"""A crawl that was cut off goes on in another attempt, and asks for nothing again that it had journaled."""

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from os import urandom

import orjson
import pytest

from codeforge.agent import ANY_TERMS, FetchTerms
from codeforge.execution.control import AttemptControl
from codeforge.results import Page, ScrapeResult
from codeforge.task import TaskState
from tests.unit.execution.bench import Bench, Web, held_lease
from workers.scrape import AT_ONE_HOST, ScrapeAgent

pytestmark = pytest.mark.anyio

SITE = "https://example.org/"
INPUT = orjson.dumps({"url": SITE, "crawl": {"depth": 3, "max_pages": 40}})


@dataclass
class Tree(Web):
    """Each page links to three others. The process breaks at the fetch of this number."""

    breaks_at: int = 0

    async def fetch(self, url: str, *, mode: str, terms: FetchTerms = ANY_TERMS) -> Page:
        if len(self.fetched) + 1 == self.breaks_at:
            self.breaks_at = 0
            raise RuntimeError("killed")
        self.fetched.append(url)
        links = [f"{url}{number}/" for number in range(3)]
        content_hash = sha256(url.encode()).hexdigest()
        return Page(url=url, final_url=url, status_code=200, links=links, content_hash=content_hash, markdown=url)


async def attempt(bench: Bench, task_id: str | None = None) -> str:
    if task_id is not None:
        await bench.ledger.cancel("acme", task_id)
        await bench.ledger.replay("acme", task_id)
    claimed = await bench.claim(task_id, input=INPUT)
    await bench.runner.run(claimed, ScrapeAgent(), AttemptControl(held_lease()))
    return claimed.task.id


async def test_only_what_was_under_way_is_fetched_again_and_the_result_is_that_of_one_attempt() -> None:
    whole = Bench(web=Tree())
    expected = (await whole.ledger.get("acme", await attempt(whole))).result
    bench = Bench(web=Tree(breaks_at=20))
    task_id = await attempt(bench)
    assert (await bench.ledger.get("acme", task_id)).state is TaskState.QUEUED
    await attempt(bench, task_id)
    task = await bench.ledger.get("acme", task_id)
    assert task.state is TaskState.SUCCEEDED
    assert task.result == expected
    assert len(ScrapeResult.model_validate_json(task.result or b"").pages) == 40
    times = Counter(bench.web.fetched)
    assert [times[url] for url in bench.web.fetched[:4]] == [1] * 4  # the levels that were whole when it broke
    assert sum(times.values()) - len(times) <= AT_ONE_HOST  # those that were under way
    assert bench.web.sitemaps == 1


async def test_journal_holds_of_pages_what_the_result_will_show() -> None:
    class Long(Web):
        async def fetch(self, url: str, *, mode: str, terms: FetchTerms = ANY_TERMS) -> Page:
            return (await super().fetch(url, mode=mode)).model_copy(update={"markdown": urandom(50_000).hex()})

    bench = Bench(web=Long())
    claimed = await bench.claim(input=orjson.dumps({"urls": [SITE], "formats": ["links"]}))
    await bench.runner.run(claimed, ScrapeAgent(), AttemptControl(held_lease()))
    row = bench.ledger.rows[claimed.task.id]
    assert row.task.state is TaskState.SUCCEEDED
    assert sum(map(len, row.journal.values())) < 1_000
