"""Scraping as a user sees it, on the whole stack."""

from tests.acceptance.stack import Stack, eventually
from tests.servers.site import Site


def test_fifty_tasks_that_want_one_page_fetch_it_once(stack: Stack, site: Site) -> None:
    url = site.url("/short-wait?shared")
    before = site.hits["/short-wait"]
    task = {"type": "scrape", "input": {"urls": [url]}}
    answer = stack.client.post("/tasks/batch", json={"tasks": [task] * 50})
    assert answer.status_code == 202, answer.text
    ids = [each["id"] for each in answer.json()["items"]]
    tasks = [eventually(lambda task_id=task_id: _ended(stack, task_id), f"{task_id} ended") for task_id in ids]
    assert {each["state"] for each in tasks} == {"succeeded"}
    assert {each["result"]["pages"][0]["title"] for each in tasks} == {"Baking sourdough bread"}
    assert site.hits["/short-wait"] == before + 1


def test_a_crawl_says_what_it_had_and_what_it_had_not(stack: Stack, site: Site) -> None:
    site.pages["/sitemap.xml"] = (
        f"<urlset><url><loc>{site.url('/bicycle')}</loc></url><url><loc>{site.url('/status/403')}</loc></url></urlset>"
    )
    task_input = {"url": site.url("/volcano"), "crawl": {"depth": 1, "max_pages": 10}}
    task = stack.finished(stack.submit("scrape", task_input))
    assert task["state"] == "succeeded"
    paths = [page["url"].removeprefix(site.base_url) for page in task["result"]["pages"]]
    assert paths[0] == "/volcano"
    assert set(paths) == {"/", "/volcano", "/bread", "/bicycle"}
    assert [(failed["url"], failed["code"]) for failed in task["result"]["failed"]] == [
        (site.url("/status/403"), "http_403")
    ]


def test_rendering_without_a_key_fails_the_url_and_not_the_task(stack: Stack, site: Site) -> None:
    task = stack.finished(stack.submit("scrape", {"urls": [site.url("/bread")], "mode": "rendered"}))
    assert task["state"] == "succeeded"
    assert [failed["code"] for failed in task["result"]["failed"]] == ["render_not_configured"]
    shell = stack.finished(stack.submit("scrape", {"urls": [site.url("/app/react")]}))
    (page,) = shell["result"]["pages"]
    assert page["method"] == "standard"
    assert page["method_reason"].startswith("the page is an empty application")


def _ended(stack: Stack, task_id: str) -> dict[str, object] | None:
    task = stack.task(task_id)
    return task if task["state"] not in ("queued", "running") else None
