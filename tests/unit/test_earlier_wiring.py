"""Which workers look for earlier results, and what that takes."""

import asyncio
import subprocess
import sys

import pytest

from codeforge.ledger.memory import MemoryLedger
from codeforge.settings import load_settings
from codeforge.wiring.earlier import earlier_results

QDRANT = {"qdrant_url": "http://127.0.0.1:6333"}


@pytest.mark.parametrize(
    ("settings", "looks"),
    [
        ({"worker_type": "analysis", **QDRANT}, True),
        ({"worker_type": "general", "qdrant_host": "qdrant"}, True),
        ({"worker_type": "scrape", **QDRANT}, False),
        ({"worker_type": "analysis"}, False),
        ({"worker_type": "analysis", "reuse_age_s": "0", **QDRANT}, False),
    ],
)
def test_workers_of_analyses_look_where_there_is_a_vector_store(settings: dict[str, str], looks: bool) -> None:
    earlier = earlier_results(load_settings(settings), MemoryLedger())
    assert (earlier is not None) is looks
    if earlier is not None:
        asyncio.run(earlier.close())


def test_the_client_is_not_imported_before_the_first_look() -> None:
    code = "import sys, codeforge.wiring.worker; sys.exit('qdrant_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
