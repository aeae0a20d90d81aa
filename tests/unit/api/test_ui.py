"""The pages of the front door: complete, and nothing in them comes from elsewhere."""

import re

import pytest

from codeforge.inputs import INPUTS
from codeforge.worker_types import WorkerType
from tests.unit.api.door import Door, opened
from tests.unit.api.test_access import KEYED_ROUTES, KEYS

pytestmark = pytest.mark.anyio

PAGES = ["/ui", "/docs"]
REFERENCE = re.compile(r"""(?:src|href|action)\s*=\s*["']?([^"'\s>]+)""")


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_refers_to_files_of_its_own_alone(door: Door, page: str) -> None:
    answer = await door.http.get(page)
    references = [found for found in REFERENCE.findall(answer.text) if found != "data:,"]
    assert len(references) >= 2
    for reference in references:
        assert reference.startswith(f"{page}/")
        file = await door.http.get(reference)
        assert file.status_code == 200
        assert file.headers["Content-Type"].startswith("text/css" if reference.endswith(".css") else "text/javascript")


@pytest.mark.parametrize("page", PAGES)
async def test_a_browser_may_load_nothing_from_elsewhere_and_run_no_inline_script(door: Door, page: str) -> None:
    """Whatever a viewer's script would like to."""
    policy = (await door.http.get(page)).headers["Content-Security-Policy"]
    allowed = {source for directive in policy.split(";") for source in directive.split()[1:]}
    assert "default-src 'none'" in policy
    assert allowed <= {"'none'", "'self'", "data:"}


@pytest.mark.parametrize("name", ["docs.js", "docs.html"])
async def test_own_files_of_the_viewer_name_no_address(door: Door, name: str) -> None:
    text = (await door.http.get(f"/docs/{name}")).text
    assert "//" not in re.sub(r"^// .*$", "", text, flags=re.MULTILINE)


async def test_the_viewer_sends_the_description_to_no_validator(door: Door) -> None:
    assert "validatorUrl: null" in (await door.http.get("/docs/docs.js")).text


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect", "/docs/favicon.png", "/ui/docs.js", "/ui/nothing"])
async def test_there_are_no_other_files(door: Door, path: str) -> None:
    assert (await door.http.get(path)).status_code == 404


async def test_the_page_has_an_example_of_every_type_that_is_accepted(door: Door) -> None:
    script = (await door.http.get("/ui/app.js")).text
    examples = re.search(r"const EXAMPLES = \{\n(.*?)\n\};", script, re.DOTALL)
    assert examples is not None
    rows = dict(re.findall(r"^  (\w+): (\{.*\}),$", examples[1], re.MULTILINE))
    assert set(rows) == set(WorkerType)
    for worker_type, row in rows.items():
        INPUTS[WorkerType(worker_type)].model_validate_json(re.sub(r"(\w+): ", r'"\1": ', row))


async def test_the_page_shows_every_figure_of_a_queue(door: Door) -> None:
    queue = (await door.http.get("/queues")).json()["items"][0]
    script = (await door.http.get("/ui/app.js")).text
    assert [name for name in queue if f"q.{name}" not in script] == []
    header = re.search(r"<thead>(.*?)</thead>\s*<tbody id=\"queues\">", (await door.http.get("/ui")).text, re.DOTALL)
    cells = re.search(r"items\.map\(\(q\) => row\(\s*\[(.*?)\]\)", script, re.DOTALL)
    assert header is not None
    assert cells is not None
    assert header[1].count("<th>") == len(re.findall(r"[^,]+", cells[1]))


async def test_the_description_says_which_routes_need_a_key() -> None:
    """The viewer asks for it then, and sends it."""
    async with opened(api_keys=KEYS) as door:
        description = (await door.http.get("/openapi.json")).json()
    assert description["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    keyed = {
        (method.upper(), path)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") == [{"key": []}]
    }
    assert {path for _, path in keyed}.isdisjoint({"/healthz", "/readyz", "/metrics"})
    assert {method_path(*route) for route in KEYED_ROUTES} <= {method_path(*route) for route in keyed}


def method_path(method: str, path: str) -> tuple[str, str]:
    """With the parameters' names taken away."""
    return method, re.sub(r"\{\w*\}|(?<=/autoscale/)\w+", "_", path)
