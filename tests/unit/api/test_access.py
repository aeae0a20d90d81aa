"""Who is served: keys and tenants; without keys, this machine only."""

import hashlib

import pytest

from tests.unit.api.door import SCRAPE, Door, opened, problem_of

pytestmark = pytest.mark.anyio

KEYS = ",".join(f"{tenant}:{hashlib.sha256(f'key of {tenant}'.encode()).hexdigest()}" for tenant in ("acme", "rival"))
TENANT_ROUTES = [
    ("GET", "/tasks/{}"),
    ("DELETE", "/tasks/{}"),
    ("POST", "/tasks/{}/replay"),
    ("GET", "/tasks/{}/events"),
    ("GET", "/tasks/{}/graph"),
]
KEYED_ROUTES = [
    *TENANT_ROUTES, ("POST", "/tasks"), ("POST", "/tasks/batch"), ("GET", "/tasks"), ("GET", "/search"),
    ("GET", "/queues"), ("GET", "/autoscale/coding"), ("GET", "/autoscale/projector"), ("GET", "/claims/{}/why"),
]  # fmt: skip


def key_of(tenant: str) -> dict[str, str]:
    return {"Authorization": f"Bearer key of {tenant}"}


@pytest.mark.parametrize(("method", "path"), KEYED_ROUTES)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic key of acme", "key of acme"])
async def test_without_a_valid_key_every_route_is_401(method: str, path: str, header: str | None) -> None:
    async with opened(api_keys=KEYS) as door:
        headers = {} if header is None else {"Authorization": header}
        answer = await door.http.request(method, path.format("no-uuid"), headers=headers)
        assert problem_of(answer, 401)["code"] == "unauthorized"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), [("GET", "/tasks"), ("POST", "/tasks")])
async def test_with_two_keys_nobody_can_tell_who_asks(method: str, path: str) -> None:
    async with opened(api_keys=KEYS) as door:
        headers = [*key_of("acme").items(), *key_of("rival").items()]
        answer = await door.http.request(method, path, json=SCRAPE, headers=headers)
        assert problem_of(answer, 401)["code"] == "unauthorized"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
async def test_health_metrics_and_the_description_need_no_key(path: str) -> None:
    async with opened(api_keys=KEYS) as door:
        assert (await door.http.get(path)).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
async def test_key_opens_the_door(scheme: str) -> None:
    async with opened(api_keys=KEYS) as door:
        headers = {"Authorization": f"{scheme}key of acme"}
        answer = await door.http.post("/tasks", json=SCRAPE, headers=headers)
        assert answer.status_code == 202
        assert door.ledger.rows[answer.json()["id"]].task.tenant == "acme"


@pytest.mark.parametrize(("method", "path"), TENANT_ROUTES)
async def test_other_tenant_s_task_is_not_there(method: str, path: str) -> None:
    async with opened(api_keys=KEYS) as door:
        door.http.headers.update(key_of("acme"))
        task_id = await door.submitted()
        answer = await door.http.request(method, path.format(task_id), headers=key_of("rival"))
        assert problem_of(answer, 404)["code"] == "task_not_found"


async def test_tenants_share_no_list_no_key_and_no_parent() -> None:
    async with opened(api_keys=KEYS) as door:
        mine = {**key_of("acme"), "Idempotency-Key": "k"}
        task_id = (await door.http.post("/tasks", json=SCRAPE, headers=mine)).json()["id"]
        door.http.headers.update(key_of("rival"))
        assert (await door.http.get("/tasks")).json() == {"items": [], "next_cursor": None}
        other = await door.http.post("/tasks", json=SCRAPE | {"delay_s": 1}, headers={"Idempotency-Key": "k"})
        assert other.status_code == 202
        assert "Idempotent-Replay" not in other.headers
        child = await door.http.post("/tasks", json=SCRAPE | {"parent_id": task_id})
        assert problem_of(child, 422)["field"] == "parent_id"
        batch = await door.http.post("/tasks/batch", json={"tasks": [SCRAPE, SCRAPE | {"parent_id": task_id}]})
        assert problem_of(batch, 422)["field"] == "tasks.1.parent_id"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8080"},
        {"Host": "10.0.0.1"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
    ],
)
async def test_without_keys_other_hosts_and_origins_are_refused(door: Door, headers: dict[str, str]) -> None:
    assert problem_of(await door.http.post("/tasks", json=SCRAPE, headers=headers), 403)["code"] == "forbidden"
    assert door.ledger.rows == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:8080"},
        {"Host": "127.0.0.1"},
        {"Host": "[::1]:8080"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://[::1]:8080"},
    ],
)
async def test_without_keys_this_machine_is_served(door: Door, headers: dict[str, str]) -> None:
    assert (await door.http.post("/tasks", json=SCRAPE, headers=headers)).status_code == 202


async def test_with_keys_any_host_and_origin_is_served() -> None:
    async with opened(api_keys=KEYS) as door:
        headers = {**key_of("acme"), "Host": "api.example.org", "Origin": "https://example.org"}
        assert (await door.http.post("/tasks", json=SCRAPE, headers=headers)).status_code == 202
