"""Two tenants on one stack: the same page for both, and neither sees, finds or touches what is the other's."""

import hashlib
from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.stack import Stack, eventually, running_stack
from tests.servers.site import Site

pytestmark = pytest.mark.slow

TENANTS = ("acme", "rival")
RATE = 6
KEYS = ",".join(f"{tenant}:{hashlib.sha256(tenant.encode()).hexdigest()}" for tenant in TENANTS)
ROUTES = [
    ("GET", "/tasks/{}"),
    ("GET", "/tasks/{}/events"),
    ("GET", "/tasks/{}/graph"),
    ("DELETE", "/tasks/{}"),
    ("POST", "/tasks/{}/replay"),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Stack]:
    """A stack with keys, and a rate for each tenant."""
    settings = {"ALLOW_PRIVATE_HOSTS": "127.0.0.1", "API_KEYS": KEYS, "RATE_LIMIT": f"{RATE}/hour"}
    with running_stack(tmp_path_factory.mktemp("tenants") / "data", settings) as running:
        yield running


@pytest.fixture(scope="module")
def clients(shared: Stack) -> Iterator[dict[str, httpx.Client]]:
    """Each tenant's own."""
    made = {
        tenant: httpx.Client(
            base_url=shared.ready["api"], headers={"Authorization": f"Bearer {tenant}"}, timeout=20.0, trust_env=False
        )
        for tenant in TENANTS
    }
    yield made
    for client in made.values():
        client.close()


@pytest.fixture(scope="module")
def stored(clients: dict[str, httpx.Client], site: Site) -> dict[str, str]:
    """A task of each tenant that read the same page, once it is stored."""
    body = {"type": "scrape", "input": {"urls": [site.url("/bread")]}}
    ids = {}
    for tenant, client in clients.items():
        answer = client.post("/tasks", json=body, headers={"Idempotency-Key": "the same key"})
        assert answer.status_code == 202, answer.text
        assert "Idempotent-Replay" not in answer.headers
        ids[tenant] = answer.json()["id"]
    for tenant, client in clients.items():
        eventually(
            lambda client=client, tenant=tenant: client.get(f"/tasks/{ids[tenant]}").json()["stored"],  # type: ignore[misc]
            f"{tenant}'s task stored",
        )
    return ids


def test_a_tenant_lists_and_finds_its_own(clients: dict[str, httpx.Client], stored: dict[str, str]) -> None:
    for tenant, client in clients.items():
        assert [item["id"] for item in client.get("/tasks").json()["items"]] == [stored[tenant]]
        hits = client.get("/search", params={"q": "sourdough bread", "limit": 50}).json()["items"]
        assert {hit["task_id"] for hit in hits} == {stored[tenant]}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_another_tenant_s_task_is_not_there(
    clients: dict[str, httpx.Client], stored: dict[str, str], method: str, path: str
) -> None:
    answer = clients["rival"].request(method, path.format(stored["acme"]))
    assert (answer.status_code, answer.json()["code"]) == (404, "task_not_found")


def test_nobody_writes_under_another_tenant_s_task(clients: dict[str, httpx.Client], stored: dict[str, str]) -> None:
    body = {"type": "scrape", "input": {"urls": ["https://example.org/"]}, "parent_id": stored["acme"]}
    answer = clients["rival"].post("/tasks", json=body)
    assert answer.status_code == 422
    assert "parent_id" in answer.text


def test_the_same_page_is_two_documents(shared: Stack, stored: dict[str, str], site: Site) -> None:
    rows = shared.cypher(
        "MATCH (t:Task)-[:FETCHED]->(d:Document {url: $url}) RETURN t.id AS id, d.tenant AS tenant, d.key AS key",
        url=site.url("/bread"),
    )
    assert {(row["id"], row["tenant"]) for row in rows} == {(stored[tenant], tenant) for tenant in TENANTS}


def test_one_tenant_s_rate_is_not_the_other_s(clients: dict[str, httpx.Client], stored: dict[str, str]) -> None:
    tasks = [{"type": "scrape", "input": {"urls": ["http://127.0.0.1:9/"]}} for _ in range(RATE)]
    over = clients["acme"].post("/tasks/batch", json={"tasks": tasks})
    assert (over.status_code, over.json()["code"]) == (429, "rate_limited")
    assert int(over.headers["Retry-After"]) > 0
    assert clients["rival"].post("/tasks/batch", json={"tasks": tasks[:1]}).status_code == 202
