"""The names of the ledger's samples that every API replica exports."""

from functools import cache

from codeforge.ledger.port import LedgerSnapshot, QueueDepth
from codeforge.metrics import LedgerMetrics
from codeforge.worker_types import WorkerType

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}
OF_EACH_REPLICA = "codeforge_ledger_errors_total"


@cache
def exported() -> set[str]:
    """Of an empty ledger; the acceptance tests see the same of a real one."""
    empty = QueueDepth(*[0] * len(QueueDepth.__slots__))
    families = LedgerMetrics(LedgerSnapshot(dict.fromkeys(WorkerType, empty), 0, {})).collect()
    names = {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ("",))}
    return names | {OF_EACH_REPLICA}
