"""Kubernetes' API server, as far as pods of one namespace go: chunked lists with selectors, metadata alone, merge
patches and their conflicts, bearer tokens, rights, and Status objects.

Formats: kubernetes.io, "Kubernetes API Concepts" and the API reference of Pod v1 and Status; RFC 7386 for patches.
"""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.canned import Answer, CannedServer, Request

NAMESPACE = "codeforge-ai"
PARTIAL = "as=PartialObjectMetadata"
Object = dict[str, Any]


@dataclass
class KubernetesApi:
    """The cluster. `verbs` are what the token's account may do with pods; `refusals` are answered first, one each."""

    pods: dict[str, Object] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    verbs: set[str] = field(default_factory=lambda: {"get", "list", "patch"})
    refusals: list[Answer] = field(default_factory=list)
    version: int = 1000
    largest_chunk: int = 500

    def add(self, name: str, *, node: str | None = "node-1", ready: bool = True, component: str = "worker") -> Object:
        """A pod of a Deployment, running and ready, or waiting for a node."""
        self.version += 1
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}]
        labels = {"app.kubernetes.io/part-of": "codeforge", "app.kubernetes.io/component": component}
        metadata = {
            "name": name, "namespace": NAMESPACE, "uid": str(uuid.uuid4()), "resourceVersion": str(self.version),
            "creationTimestamp": now, "labels": labels,
        }  # fmt: skip
        status: Object = {"phase": "Running" if node else "Pending", "conditions": conditions}
        pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": status}
        if node:
            pod["spec"]["nodeName"] = node
        self.pods[name] = pod
        return pod

    def annotation(self, name: str) -> str | None:
        """The pod's deletion cost, as it stands there."""
        found: str | None = (
            self.pods[name]["metadata"].get("annotations", {}).get("controller.kubernetes.io/pod-deletion-cost")
        )
        return found

    def account(self, directory: Path) -> Path:
        """The files that a pod finds of its ServiceAccount."""
        directory.mkdir(exist_ok=True)
        (directory / "token").write_text(self.token)
        (directory / "namespace").write_text(NAMESPACE)
        return directory

    def server(self) -> CannedServer:
        """An HTTP server of it."""
        return CannedServer(self.answer)

    def answer(self, request: Request) -> Answer:
        """What the API server says."""
        if self.refusals:
            return self.refusals.pop(0)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return status(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        url = urlsplit(request.path)
        whole = f"/api/v1/namespaces/{NAMESPACE}/pods"
        routes: dict[tuple[str, bool], tuple[str, Callable[[], Answer]]] = {
            ("GET", True): ("list", lambda: self._list(request, parse_qs(url.query))),
            ("PATCH", False): ("patch", lambda: self._patch(request, unquote(url.path.rpartition("/")[2]))),
        }
        if url.path != whole and url.path.rpartition("/")[0] != whole:
            return status(HTTPStatus.NOT_FOUND, "NotFound")
        verb, do = routes.get((request.method, url.path == whole), ("other", lambda: Answer()))
        if verb not in self.verbs:
            return status(HTTPStatus.FORBIDDEN, "Forbidden")
        return do()

    def _list(self, request: Request, query: dict[str, list[str]]) -> Answer:
        wanted = dict(pair.split("=") for pair in query.get("labelSelector", [""])[0].split(",") if pair)
        names = sorted(name for name, pod in self.pods.items() if wanted.items() <= pod["metadata"]["labels"].items())
        start = int(query.get("continue", ["0"])[0])
        size = min(int(query.get("limit", ["500"])[0]), self.largest_chunk)
        chunk = [shown(self.pods[name], request) for name in names[start : start + size]]
        metadata: Object = {"resourceVersion": str(self.version)}
        if start + size < len(names):
            metadata |= {"continue": str(start + size), "remainingItemCount": len(names) - start - size}
        partial = PARTIAL in request.headers.get("accept", "")
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"} if partial else {
            "kind": "PodList", "apiVersion": "v1"
        }  # fmt: skip
        return Answer(body=kind | {"metadata": metadata, "items": chunk})

    def _patch(self, request: Request, name: str) -> Answer:
        if request.headers.get("content-type") != "application/merge-patch+json":
            return status(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType")
        if name not in self.pods:
            return status(HTTPStatus.NOT_FOUND, "NotFound")
        pod = self.pods[name]
        for known in ("uid", "resourceVersion"):
            if request.body.get("metadata", {}).get(known) not in (None, pod["metadata"][known]):
                return status(HTTPStatus.CONFLICT, "Conflict")
        self.version += 1
        self.pods[name] = merged(pod, request.body)
        self.pods[name]["metadata"]["resourceVersion"] = str(self.version)
        return Answer(body=shown(self.pods[name], request))


def status(code: HTTPStatus, reason: str, **headers: str) -> Answer:
    """A refusal as the API server words it."""
    body = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": int(code), "reason": reason,
        "message": f"{reason}: pods of {NAMESPACE}",
    }  # fmt: skip
    return Answer(int(code), body, {name.replace("_", "-"): value for name, value in headers.items()})


def shown(pod: Object, request: Request) -> Object:
    """The pod, or its metadata alone where that is asked for."""
    if PARTIAL not in request.headers.get("accept", ""):
        return pod
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": pod["metadata"]}


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
