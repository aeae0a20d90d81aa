"""Pods over the API server's REST interface, with the pod's own ServiceAccount.

Formats: kubernetes.io, "Kubernetes API Concepts" (lists in chunks, metadata alone as PartialObjectMetadata, merge
patches, Status) and "Accessing the Kubernetes API from a Pod" (token, CA and namespace as files). Two requests are all
that is needed, so there is no client library (docs/adr/0011-busy-pods.md).
"""

import ssl
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from codeforge.errors import ClusterBusy, ClusterForbidden, ClusterUnavailable, PodChanged
from codeforge.kubernetes.port import Pod
from codeforge.retry_after import retry_after_s

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
WORKERS = "app.kubernetes.io/part-of=codeforge,app.kubernetes.io/component=worker"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE_PATCH = "application/merge-patch+json"

TIMEOUT_S = 5.0
CHUNK = 500
MAX_CHUNKS = 20


class ApiServerPods:
    """`Pods` of the API server at `url`. `account` is the directory of the ServiceAccount's files; the token is read
    anew for each request, for Kubernetes replaces it every hour."""

    def __init__(self, url: str, account: Path) -> None:
        self._token = account / "token"
        namespace = (account / "namespace").read_text(encoding="utf-8").strip()
        self._path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
        verify = ssl.create_default_context(cafile=account / "ca.crt") if url.startswith("https://") else True
        self._http = httpx.AsyncClient(base_url=url, verify=verify, trust_env=False, timeout=TIMEOUT_S)

    async def list(self) -> Sequence[Pod]:
        """See `Pods.list`."""
        found: list[Pod] = []
        query: dict[str, str | int] = {"labelSelector": WORKERS, "limit": CHUNK}
        for _ in range(MAX_CHUNKS):
            body = await self._ask("GET", self._path, params=query, headers={"Accept": METADATA_LIST})
            try:
                found += [_pod(item["metadata"]) for item in body["items"]]
                further = body["metadata"].get("continue")
            except (AttributeError, KeyError, TypeError) as error:
                raise ClusterUnavailable("the API server's answer is no list of pods") from error
            if not further:
                return found
            query["continue"] = further
        raise ClusterUnavailable(f"more than {CHUNK * MAX_CHUNKS} pods")

    async def set_deletion_cost(self, pod: Pod, cost: int) -> None:
        """See `Pods.set_deletion_cost`. The uid makes the server refuse the patch for a pod of the same name."""
        patch = {"metadata": {"uid": pod.uid, "annotations": {DELETION_COST: str(cost)}}}
        path = f"{self._path}/{quote(pod.name, safe='')}"
        await self._ask("PATCH", path, json=patch, headers={"Accept": METADATA, "Content-Type": MERGE_PATCH})

    async def _ask(self, method: str, path: str, *, headers: dict[str, str], **content: Any) -> Any:
        try:
            token = self._token.read_text(encoding="utf-8").strip()  # a file in memory
            authorized = headers | {"Authorization": f"Bearer {token}"}
            response = await self._http.request(method, path, headers=authorized, **content)
            if response.is_success:
                return response.json()
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise ClusterUnavailable(f"the API server cannot be asked ({type(error).__name__})") from error
        raise _refusal(response)

    async def close(self) -> None:
        """See `Pods.close`."""
        await self._http.aclose()


def _pod(metadata: dict[str, Any]) -> Pod:
    try:
        cost = int(metadata.get("annotations", {}).get(DELETION_COST, 0))
    except ValueError:
        cost = 0  # as Kubernetes takes what it cannot read
    return Pod(metadata["name"], metadata["uid"], cost, leaving="deletionTimestamp" in metadata)


def _refusal(response: httpx.Response) -> Exception:
    """The error that an answer is. The Status in it names the account and the pod; its reason is enough here."""
    try:
        reason = str(response.json()["reason"])[:100]
    except (ValueError, KeyError, TypeError):
        reason = response.reason_phrase
    said = f"the API server answered {response.status_code} {reason}"
    asked_s = retry_after_s(response.headers.get("Retry-After"))
    match response.status_code:
        case HTTPStatus.NOT_FOUND | HTTPStatus.CONFLICT if response.request.method == "PATCH":
            return PodChanged(said)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return ClusterForbidden(said)
        case HTTPStatus.TOO_MANY_REQUESTS:
            return ClusterBusy(said, retry_after_s=asked_s)
    return ClusterUnavailable(said, retry_after_s=asked_s)
