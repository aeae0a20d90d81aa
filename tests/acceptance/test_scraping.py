"""Scraping as a user sees it, on the whole stack."""

import json
import os
import signal
from functools import partial
from typing import Any

from tests.acceptance.stack import Stack, eventually
from tests.servers.articles import BREAD, article
from tests.servers.site import Site
from workers.scrape import AT_ONE_HOST

SECTIONS, CHAPTERS = 6, 6


def test_fifty_tasks_that_want_one_page_fetch_it_once(stack: Stack, site: Site) -> None:
    url = site.url("/short-wait?shared")
    before = site.hits["/short-wait"]
    task = {"type": "scrape", "input": {"urls": [url]}}
    answer = stack.client.post("/tasks/batch", json={"tasks": [task] * 50})
    assert answer.status_code == 202, answer.text
    ids = [each["id"] for each in answer.json()["items"]]
    tasks = [eventually(partial(_ended, stack, task_id), f"{task_id} ended") for task_id in ids]
    assert {each["state"] for each in tasks} == {"succeeded"}
    assert {each["result"]["pages"][0]["title"] for each in tasks} == {"Baking sourdough bread"}
    assert site.hits["/short-wait"] == before + 1


def test_a_crawl_says_what_it_had_and_what_it_had_not(stack: Stack, site: Site) -> None:
    site.pages["/sitemap.xml"] = (
        f"<urlset><url><loc>{site.url('/bicycle')}</loc></url><url><loc>{site.url('/status/403')}</loc></url></urlset>"
    )
    task_input = {"url": site.url("/volcano"), "crawl": {"depth": 1, "max_pages": 10}}
    try:
        task = stack.finished(stack.submit("scrape", task_input))
    finally:
        del site.pages["/sitemap.xml"]  # the site is the other tests', too
    assert task["state"] == "succeeded"
    paths = [page["url"].removeprefix(site.base_url) for page in task["result"]["pages"]]
    assert paths[0] == "/volcano"
    assert set(paths) == {"/", "/volcano", "/bread", "/bicycle"}
    assert [(failed["url"], failed["code"]) for failed in task["result"]["failed"]] == [
        (site.url("/status/403"), "http_403")
    ]


def test_a_killed_crawl_goes_on_and_asks_for_no_page_again_that_it_had(mortal: Stack) -> None:
    with Site() as site:
        site.pages.update(_book())
        site.page_s = 0.5
        task_input = {"url": site.url("/"), "crawl": {"depth": 2, "max_pages": 100}}
        task_id = mortal.submit("scrape", task_input)
        half = len(site.pages) // 2
        eventually(lambda: (mortal.task(task_id)["progress"] or {"done": 0})["done"] >= half, "half of the crawl")
        os.kill(mortal.ready["pids"]["worker"], signal.SIGKILL)
        task = mortal.finished(task_id)
        hits = dict(site.hits)
        known = [site.url(path) for path in site.pages]

    assert (task["state"], task["attempts"], task["result"]["failed"]) == ("succeeded", 2, [])
    assert [page["url"] for page in task["result"]["pages"]] == known  # breadth first, each once

    events = _events(mortal, task_id)
    first, second = [number for number, (kind, _) in enumerate(events) if kind == "running"]
    told = {data["url"] for kind, data in events[first:second] if kind == "page"}
    again = {url for url in known if hits[url.removeprefix(site.base_url)] > 1}
    assert 1 + SECTIONS <= len(told) < len(known)  # those of the last moment may not have been told
    assert told & again == set()
    assert len(again) <= AT_ONE_HOST  # those that were under way
    assert max(hits[url.removeprefix(site.base_url)] for url in known) <= 2
    progress = [data["done"] for kind, data in events if kind == "progress"]
    assert progress == sorted(progress)
    assert (task["progress"]["done"], task["progress"]["total"]) == (len(known), len(known))


def _book() -> dict[str, str]:
    """A front page, sections, and chapters in each, in the order of a crawl. All link back."""
    sections = [f"/{section}" for section in range(SECTIONS)]
    chapters = {section: [f"{section}/{chapter}" for chapter in range(CHAPTERS)] for section in sections}
    leads_to = {"/": sections} | chapters | {path: ["/"] for paths in chapters.values() for path in paths}
    return {
        path: article(f"Page {path}", [f"This is the page at {path}.", *BREAD], [(link, link) for link in links])
        for path, links in leads_to.items()
    }


def _events(stack: Stack, task_id: str) -> list[tuple[str, dict[str, Any]]]:
    """All events of a task that ended: kind and data."""
    with stack.client.stream("GET", f"/tasks/{task_id}/events") as answer:
        blocks = answer.read().decode().split("\n\n")
    lines = [block.split("\n") for block in blocks if block and not block.startswith(":")]
    return [(each[1].removeprefix("event: "), json.loads(each[2].removeprefix("data: "))) for each in lines]


def test_rendering_without_a_key_fails_the_url_and_not_the_task(stack: Stack, site: Site) -> None:
    task = stack.finished(stack.submit("scrape", {"urls": [site.url("/bread")], "mode": "rendered"}))
    assert task["state"] == "succeeded"
    assert [failed["code"] for failed in task["result"]["failed"]] == ["render_not_configured"]
    shell = stack.finished(stack.submit("scrape", {"urls": [site.url("/app/react")]}))
    (page,) = shell["result"]["pages"]
    assert page["method"] == "standard"
    assert page["method_reason"].startswith("the page is an empty application")


def _ended(stack: Stack, task_id: str) -> dict[str, Any] | None:
    task = stack.task(task_id)
    return task if task["state"] not in ("queued", "running") else None
