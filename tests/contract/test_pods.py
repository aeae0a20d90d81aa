"""Pods: the fake, and the API server's wire format."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import certifi
import pytest

from codeforge.errors import ClusterBusy, ClusterForbidden, ClusterUnavailable, PodChanged
from codeforge.kubernetes.api_server import ApiServerPods
from codeforge.kubernetes.memory import MemoryPods
from codeforge.kubernetes.port import Pods
from tests.servers.canned import Answer, CannedServer
from tests.servers.kubernetes import KubernetesApi, status

pytestmark = pytest.mark.anyio


@pytest.fixture
def cluster() -> KubernetesApi:
    cluster = KubernetesApi()
    for name in ("pod-a", "pod-b"):
        cluster.add(name)
    return cluster


@pytest.fixture
def server(cluster: KubernetesApi) -> Iterator[CannedServer]:
    with cluster.server() as server:
        yield server


@pytest.fixture
async def api(cluster: KubernetesApi, server: CannedServer, tmp_path: Path) -> AsyncIterator[ApiServerPods]:
    pods = ApiServerPods(server.url, cluster.account(tmp_path / "account"))
    yield pods
    await pods.close()


@pytest.fixture(params=["memory", "api"])
def pods(request: pytest.FixtureRequest) -> Pods:
    if request.param == "memory":
        return MemoryPods("pod-a", "pod-b")
    found: Pods = request.getfixturevalue("api")
    return found


async def test_cost_is_written_and_read_again(pods: Pods) -> None:
    first, second = await pods.list()
    assert [(pod.name, pod.deletion_cost, pod.leaving) for pod in (first, second)] == [
        ("pod-a", 0, False), ("pod-b", 0, False)
    ]  # fmt: skip
    await pods.set_deletion_cost(second, 1)
    assert [pod.deletion_cost for pod in await pods.list()] == [0, 1]
    await pods.set_deletion_cost(second, 0)
    assert [pod.deletion_cost for pod in await pods.list()] == [0, 0]


async def test_another_pod_of_that_name_is_left_alone(pods: Pods) -> None:
    pod, _ = await pods.list()
    for other in (replace(pod, uid="another"), replace(pod, name="gone")):
        with pytest.raises(PodChanged):
            await pods.set_deletion_cost(other, 1)
    assert [pod.deletion_cost for pod in await pods.list()] == [0, 0]


async def test_only_workers_are_listed_and_only_their_metadata(
    cluster: KubernetesApi, server: CannedServer, api: ApiServerPods
) -> None:
    cluster.add("reaper-x", component="reaper")
    cluster.add("pod-c", node=None)["metadata"]["deletionTimestamp"] = "2026-11-26T12:00:00Z"
    cluster.pods["pod-b"]["metadata"]["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": "many"}
    assert [(pod.name, pod.deletion_cost, pod.leaving) for pod in await api.list()] == [
        ("pod-a", 0, False), ("pod-b", 0, False), ("pod-c", 0, True)
    ]  # fmt: skip
    assert "PartialObjectMetadataList" in server.requests[-1].headers["accept"]


async def test_list_comes_in_chunks(cluster: KubernetesApi, server: CannedServer, api: ApiServerPods) -> None:
    cluster.largest_chunk = 2
    for number in range(3):
        cluster.add(f"pod-{number}")
    assert [pod.name for pod in await api.list()] == ["pod-0", "pod-1", "pod-2", "pod-a", "pod-b"]
    assert len(server.requests) == 3


async def test_patch_changes_one_annotation_and_nothing_else(cluster: KubernetesApi, api: ApiServerPods) -> None:
    annotations = {"example.org/note": "kept"}
    cluster.pods["pod-a"]["metadata"]["annotations"] = annotations
    before = {name: part for name, part in cluster.pods["pod-a"].items() if name != "metadata"}
    await api.set_deletion_cost((await api.list())[0], 1)
    after = cluster.pods["pod-a"]
    cost = {"controller.kubernetes.io/pod-deletion-cost": "1"}
    assert after["metadata"]["annotations"] == annotations | cost
    assert {name: part for name, part in after.items() if name != "metadata"} == before


REFUSALS = [
    (status(HTTPStatus.FORBIDDEN, "Forbidden"), ClusterForbidden, None),
    (status(HTTPStatus.UNAUTHORIZED, "Unauthorized"), ClusterForbidden, None),
    (status(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", Retry_After="7"), ClusterBusy, 7.0),
    (status(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", Retry_After="soon"), ClusterBusy, None),
    (status(HTTPStatus.GONE, "Expired"), ClusterUnavailable, None),
    (status(HTTPStatus.GATEWAY_TIMEOUT, "Timeout", Retry_After="1"), ClusterUnavailable, 1.0),
    (Answer(HTTPStatus.BAD_GATEWAY, b"<html>"), ClusterUnavailable, None),
    (Answer(body=b"no JSON"), ClusterUnavailable, None),
    (Answer(drops=True), ClusterUnavailable, None),
]


@pytest.mark.parametrize(("answer", "kind", "retry_after_s"), REFUSALS)
async def test_refusal_says_what_it_is(
    cluster: KubernetesApi,
    api: ApiServerPods,
    answer: Answer,
    kind: type[ClusterUnavailable],
    retry_after_s: float | None,
) -> None:
    (pod, _) = await api.list()
    for ask in (api.list, lambda: api.set_deletion_cost(pod, 1)):
        cluster.refusals = [answer]
        with pytest.raises(ClusterUnavailable) as caught:
            await ask()
        assert (type(caught.value), caught.value.retry_after_s) == (kind, retry_after_s)
        assert cluster.token not in str(caught.value)


@pytest.mark.parametrize("body", [{}, [], {"items": [{}], "metadata": {}}, {"items": [], "metadata": None}])
async def test_answer_of_another_form_is_a_failure_like_any_other(
    cluster: KubernetesApi, api: ApiServerPods, body: object
) -> None:
    cluster.refusals = [Answer(body=body)]
    with pytest.raises(ClusterUnavailable, match="no list of pods"):
        await api.list()


async def test_server_that_hangs_is_not_waited_for(
    cluster: KubernetesApi, server: CannedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.kubernetes.api_server.TIMEOUT_S", 0.05)
    cluster.refusals = [Answer(hangs=True)]
    pods = ApiServerPods(server.url, cluster.account(tmp_path / "account"))
    with pytest.raises(ClusterUnavailable, match="ReadTimeout"):
        await pods.list()
    await pods.close()


async def test_rights_are_those_that_are_granted(cluster: KubernetesApi, api: ApiServerPods) -> None:
    pod, _ = await api.list()
    cluster.verbs = {"get", "list"}
    with pytest.raises(ClusterForbidden):
        await api.set_deletion_cost(pod, 1)


async def test_new_token_is_taken_up(cluster: KubernetesApi, api: ApiServerPods, tmp_path: Path) -> None:
    await api.list()
    cluster.token = "another"
    with pytest.raises(ClusterForbidden):
        await api.list()
    cluster.account(tmp_path / "account")
    assert len(await api.list()) == 2


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of its own, and a server's side of it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=kubernetes "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


async def test_server_is_known_by_the_cluster_s_own_authority(
    cluster: KubernetesApi, tmp_path: Path, authority: tuple[Path, ssl.SSLContext]
) -> None:
    certificate, context = authority
    account = cluster.account(tmp_path / "account")
    with CannedServer(cluster.answer, tls=context) as server:
        for trusted, known in ((certificate, True), (Path(certifi.where()), False)):
            shutil.copy(trusted, account / "ca.crt")
            pods = ApiServerPods(server.url, account)
            if known:
                assert len(await pods.list()) == 2
            else:
                with pytest.raises(ClusterUnavailable, match="ConnectError"):
                    await pods.list()
            await pods.close()
