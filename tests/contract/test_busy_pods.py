"""The marks of busy pods with everything real but the cluster: ledger, settings, wiring, and its API's format."""

import asyncio
import secrets
from pathlib import Path

import pytest

from codeforge.ledger.port import WorkerRecord
from codeforge.settings import load_settings
from codeforge.wiring.busy_pods import busy_pods
from codeforge.worker_types import WorkerType
from tests.contract.ledger_engines import SUCCESS, opened_ledger
from tests.patience import PATIENCE_S
from tests.servers.kubernetes import KubernetesApi
from tests.servers.valkey import ValkeyServer

pytestmark = pytest.mark.anyio


async def test_pod_is_marked_while_it_works(
    ledger_server: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeforge.scaling.busy_pods.PERIOD_S", 0.02)
    cluster = KubernetesApi()
    for name in ("pod-a", "pod-b"):
        cluster.add(name)
    with cluster.server() as server:
        settings = load_settings(
            {
                "REDIS_URL": ledger_server.url, "SCALABILITY_MODE": "kubernetes", "MARK_BUSY_PODS": "true",
                "KUBERNETES_API_URL": server.url, "KUBERNETES_ACCOUNT_DIR": str(cluster.account(tmp_path / "account")),
            }
        )  # fmt: skip
        async with opened_ledger(ledger_server.url) as cf, busy_pods(settings, lambda: True) as (run,):
            for name in ("pod-a", "pod-b"):
                await cf.ledger.renew_lease(WorkerRecord(name, [WorkerType.SCRAPE], 10, name))
            claimed = await cf.ledger.claim((await cf.submitted()).id, "pod-a", secrets.token_hex(8))
            assert claimed is not None
            loop = asyncio.create_task(run())
            await _marks(cluster, "1", None)
            await cf.ledger.finish(claimed.claim, SUCCESS)
            await _marks(cluster, "0", None)
            async with asyncio.timeout(PATIENCE_S):
                while (await cf.ledger.snapshot()).counters.get("pod_marks:written") != 2:
                    assert not loop.done()
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


async def _marks(cluster: KubernetesApi, *wanted: str | None) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while tuple(map(cluster.annotation, sorted(cluster.pods))) != wanted:  # noqa: ASYNC110  # a server's thread writes
            await asyncio.sleep(0.01)
