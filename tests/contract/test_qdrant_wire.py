"""Qdrant's documented wire format (https://api.qdrant.tech/api-reference), on the embedded server and a real one.

What the embedded server refuses that a real one would do is in `test_qdrant_refusals.py`.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.contract.vector_engines import QdrantVectors

A, B, C = ("00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b", 3)
SPEC = {
    "vectors": {"dense": {"size": 3, "distance": "Cosine"}},
    "sparse_vectors": {"words": {"modifier": "idf"}},
}
POINTS: list[dict[str, Any]] = [
    {
        "id": A,
        "vector": {"dense": [3.0, 4.0, 0.0], "words": {"indices": [7, 4_294_967_295], "values": [1.5, 0.5]}},
        "payload": {"tenant": "acme", "n": 1, "tags": ["x", "y"], "deep": {"er": None}},
    },
    {"id": B, "vector": {"dense": [0, 1, 0], "words": {"indices": [7], "values": [1]}}, "payload": {"tenant": "acme"}},
    {"id": C, "vector": {"dense": [0, 0, 1]}, "payload": {"tenant": "other", "n": 2}},
]
Json = Any


class Api:
    """The collection's routes."""

    def __init__(self, client: httpx.Client, collection: str) -> None:
        self.client = client
        self.path = f"/collections/{collection}"

    def ask(self, method: str, path: str, body: Json = None, status: int = 200) -> Json:
        """The `result`, or the `status.error` of a refusal; the envelope is checked."""
        response = self.client.request(method, self.path + path, json=body)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/json"
        envelope = response.json()
        assert envelope["time"] >= 0
        if status != 200:
            assert "result" not in envelope
            return envelope["status"]["error"]
        assert envelope["status"] == "ok"
        return envelope["result"]


@pytest.fixture
def api(qdrant: QdrantVectors) -> Iterator[Api]:
    """A fresh collection with an index on the tenant."""
    with qdrant.client() as client:
        api = Api(client, qdrant.collection)
        assert api.ask("PUT", "", SPEC) is True
        index = {"field_name": "tenant", "field_schema": {"type": "keyword", "is_tenant": True}}
        assert api.ask("PUT", "/index?wait=true", index)["status"] == "completed"
        yield api


@pytest.fixture
def filled(api: Api) -> Api:
    """The collection with the three points."""
    result = api.ask("PUT", "/points?wait=true", {"points": POINTS})
    assert result["status"] == "completed"
    assert isinstance(result["operation_id"], int)
    return api


def only(key: str, value: Json) -> Json:
    return {"must": [{"key": key, "match": {"value": value}}]}


def ids(result: Json) -> list[Json]:
    return [point["id"] for point in result["points"]]


def test_the_server_says_which_version_it_speaks(qdrant: QdrantVectors) -> None:
    with qdrant.client() as client:
        about = client.get("/").json()
        assert about["title"]
        assert [int(part) for part in about["version"].split("-")[0].split(".")] >= [1, 16, 0]
        for path in ("/healthz", "/livez", "/readyz"):
            assert client.get(path).status_code == 200


def test_collections_come_and_go(api: Api, qdrant: QdrantVectors) -> None:
    listed = api.client.get("/collections").json()["result"]["collections"]
    assert {"name": qdrant.collection} in listed
    assert api.ask("GET", "/exists") == {"exists": True}
    assert "already exists" in api.ask("PUT", "", SPEC, 409)
    assert api.ask("DELETE", "") is True
    assert api.ask("GET", "/exists") == {"exists": False}
    assert "doesn't exist" in api.ask("GET", "", status=404)
    assert "doesn't exist" in api.ask("POST", "/points/count", {}, 404)
    assert api.ask("DELETE", "") is False


def test_a_collection_shows_what_it_is(filled: Api) -> None:
    info = filled.ask("GET", "")
    assert info["status"] in ("green", "yellow", "grey")
    assert info["points_count"] == 3
    params = info["config"]["params"]
    assert params["vectors"] == {"dense": {"size": 3, "distance": "Cosine"}}
    assert params["sparse_vectors"]["words"]["modifier"] == "idf"
    assert info["payload_schema"]["tenant"]["data_type"] == "keyword"
    assert info["payload_schema"]["tenant"]["params"]["is_tenant"] is True


def test_points_come_back_as_they_were_written(filled: Api) -> None:
    whole = {"ids": [A], "with_payload": True, "with_vector": True}
    (point,) = filled.ask("POST", "/points", whole)
    assert point["id"] == A
    assert point["payload"] == POINTS[0]["payload"]
    assert point["vector"]["dense"] == pytest.approx([0.6, 0.8, 0.0])  # cosine: kept as a unit vector
    assert point["vector"]["words"] == {"indices": [7, 4_294_967_295], "values": [1.5, 0.5]}
    assert filled.ask("POST", "/points", {"ids": [999]}) == []


def test_what_is_returned_of_a_point_can_be_chosen(filled: Api) -> None:
    def payload(choice: Json) -> Json:
        (point,) = filled.ask("POST", "/points", {"ids": [A], "with_payload": choice, "with_vector": ["words"]})
        assert list(point["vector"]) == ["words"]
        return point.get("payload") or None

    assert payload(False) is None
    assert payload(["n", "deep.er"]) == {"n": 1, "deep": {"er": None}}
    assert payload({"include": ["tags"]}) == {"tags": ["x", "y"]}
    assert payload({"exclude": ["tags", "deep"]}) == {"tenant": "acme", "n": 1}


def test_an_upsert_replaces_the_whole_point(filled: Api) -> None:
    filled.ask("PUT", "/points?wait=true", {"points": [{"id": A, "vector": {"dense": [1, 0, 0]}}]})
    (point,) = filled.ask("POST", "/points", {"ids": [A], "with_payload": True, "with_vector": True})
    assert not point.get("payload")
    assert list(point["vector"]) == ["dense"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, {A, B, C}),
        (only("tenant", "acme"), {A, B}),
        (only("n", 2), {C}),
        (only("tags", "y"), {A}),
        ({"must": [{"key": "tenant", "match": {"any": ["acme", "none"]}}]}, {A, B}),
        ({"must": [{"key": "tenant", "match": {"except": ["acme"]}}]}, {C}),
        ({"must_not": {"key": "tenant", "match": {"value": "acme"}}}, {C}),
        ({"should": [{"key": "n", "range": {"gte": 1, "lt": 2}}, {"has_id": [B]}]}, {A, B}),
        ({"must": [only("tenant", "acme"), {"is_empty": {"key": "n"}}]}, {B}),
        ({"must": [{"is_null": {"key": "deep.er"}}]}, {A}),
        ({"min_should": {"conditions": [only("tenant", "acme"), {"has_id": [A, C]}], "min_count": 2}}, {A}),
    ],
)
def test_filters_choose_points(filled: Api, chosen: Json, expected: set[Json]) -> None:
    request = {} if chosen is None else {"filter": chosen}
    assert set(ids(filled.ask("POST", "/points/scroll", request))) == expected
    assert filled.ask("POST", "/points/count", {**request, "exact": True}) == {"count": len(expected)}
    found = filled.ask("POST", "/points/query", {**request, "query": [1, 1, 1], "using": "dense"})
    assert set(ids(found)) == expected


def test_scrolling_pages_through_all_points_once(filled: Api) -> None:
    first = filled.ask("POST", "/points/scroll", {"limit": 2, "with_payload": False})
    assert len(first["points"]) == 2
    rest = filled.ask("POST", "/points/scroll", {"limit": 2, "offset": first["next_page_offset"]})
    assert rest["next_page_offset"] is None
    assert sorted(map(str, ids(first) + ids(rest))) == sorted(map(str, (A, B, C)))


def test_points_are_deleted_by_id_and_by_filter(filled: Api) -> None:
    assert filled.ask("POST", "/points/delete?wait=true", {"points": [A, 999]})["status"] == "completed"
    assert filled.ask("POST", "/points/delete?wait=true", {"filter": only("tenant", "other")})["status"] == "completed"
    assert ids(filled.ask("POST", "/points/scroll", {})) == [B]


def test_nearest_points_come_with_scores(filled: Api) -> None:
    result = filled.ask("POST", "/points/query", {"query": [0, 2, 0], "using": "dense", "limit": 2})
    assert [(point["id"], point["score"]) for point in result["points"]] == [
        (B, pytest.approx(1.0)),
        (A, pytest.approx(0.8)),
    ]
    assert all(isinstance(point["version"], int) and not point.get("payload") for point in result["points"])
    long_form = {"query": {"nearest": [0, 2, 0]}, "using": "dense", "score_threshold": 0.9}
    assert ids(filled.ask("POST", "/points/query", long_form)) == [B]
    assert ids(filled.ask("POST", "/points/query", {**long_form, "score_threshold": -1, "offset": 1, "limit": 1})) == [
        A
    ]


def test_sparse_queries_weigh_rare_words_more(filled: Api) -> None:
    query = {"query": {"indices": [7, 4_294_967_295], "values": [1, 1]}, "using": "words"}
    first, second = filled.ask("POST", "/points/query", query)["points"]
    assert (first["id"], second["id"]) == (A, B)
    assert first["score"] > 2 * second["score"]  # without IDF exactly twice: 1.5 + 0.5 against 1


def test_prefetches_are_fused_by_rank(filled: Api) -> None:
    fused = {
        "prefetch": [
            {"query": [0, 1, 0], "using": "dense", "limit": 10},
            {"query": {"indices": [7], "values": [1]}, "using": "words", "limit": 10},
        ],
        "query": {"fusion": "rrf"},
        "filter": only("tenant", "acme"),
        "limit": 10,
        "with_payload": ["n"],
    }
    points = filled.ask("POST", "/points/query", fused)["points"]
    # First by meaning and second by words, and the other way round: 1/2 + 1/3 each.
    assert {(point["id"], round(point["score"], 3)) for point in points} == {(A, 0.833), (B, 0.833)}
    batch = filled.ask("POST", "/points/query/batch", {"searches": [fused, {**fused, "limit": 1}]})
    assert [len(result["points"]) for result in batch] == [2, 1]


def test_a_prefetch_within_a_prefetch_chooses_what_is_scored(filled: Api) -> None:
    inner = {"query": [0, 1, 0], "using": "dense", "score_threshold": 0.9, "limit": 10}
    outer = {"prefetch": [inner], "query": {"indices": [7], "values": [1]}, "using": "words", "limit": 10}
    assert ids(filled.ask("POST", "/points/query", {"prefetch": [outer], "query": {"fusion": "rrf"}})) == [B]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/points", {"points": [{"id": 1, "vector": {"dense": [1, 2]}}]}, 400, "expected dim: 3, got 2"),
        ("/points", {"points": [{"id": 1, "vector": {"other": [1, 2, 3]}}]}, 400, "Not existing vector name"),
        ("/points", {"points": [{"id": "x", "vector": {"dense": [1, 2, 3]}}]}, 400, ""),
        ("/points", {"points": [{"id": -1, "vector": {"dense": [1, 2, 3]}}]}, 400, ""),
        ("/points", {"points": [{"id": 1}]}, 400, ""),
        (
            "/points",
            {"points": [{"id": 1, "vector": {"words": {"indices": [1, 1], "values": [1, 2]}}}]},
            422,
            "must be unique",
        ),
        (
            "/points",
            {"points": [{"id": 1, "vector": {"words": {"indices": [1], "values": [1, 2]}}}]},
            422,
            "must be the same length",
        ),
    ],
)
def test_wrong_points_are_refused_and_none_of_their_batch_written(
    filled: Api, path: str, body: Json, status: int, says: str
) -> None:
    good = {"id": str(UUID(int=5)), "vector": {"dense": [1, 1, 1]}}
    assert says in filled.ask("PUT", f"{path}?wait=true", {"points": [good, *body["points"]]}, status)
    assert filled.ask("POST", "/points/count", {"exact": True}) == {"count": 3}


@pytest.mark.parametrize(
    "query",
    [
        {"query": [1, 2], "using": "dense"},
        {"query": [1, 2, 3], "using": "other"},
        {"query": [1, 2, 3]},
        {"query": {"fusion": "rrf"}},
        {"query": [1, 2, 3], "using": "dense", "filter": {"must": [{"key": "tenant"}]}},
        {"query": [1, 2, 3], "using": "dense", "with_payload": 7},
    ],
)
def test_wrong_queries_are_refused(filled: Api, query: Json) -> None:
    response = filled.client.post(f"{filled.path}/points/query", json=query)
    assert response.status_code in (400, 422)
    assert response.json()["status"]["error"]


def test_what_is_no_json_is_refused(filled: Api) -> None:
    response = filled.client.post(f"{filled.path}/points/count", content=b'{"exact"')
    assert response.status_code == 400
    assert response.json()["status"]["error"]
