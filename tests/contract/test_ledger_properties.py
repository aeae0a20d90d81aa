"""The ledger on a real engine against a model, step by step, in orders that nobody thought of.

A longer search: `pytest tests/contract/test_ledger_properties.py --hypothesis-profile=long`.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contract.ledger_machine import LedgerMachine
from tests.servers.valkey import ValkeyServer

EXAMPLES = 40
STEPS = 40


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_every_order_of_calls_keeps_the_ledger_exact(ledger_server: ValkeyServer) -> None:
    chosen = settings()
    bounded = settings(
        chosen,
        max_examples=chosen.max_examples if chosen.max_examples > 100 else EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: LedgerMachine(ledger_server.url), settings=bounded)  # type: ignore[arg-type]
