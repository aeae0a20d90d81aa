"""The shortened run: a few scenarios with a small load. The whole suite is `make faults`."""

import pytest

from tests.faults.rig import LEASE_S
from tests.faults.scenarios import SCENARIOS, Scenario

SHORT = [scenario for scenario in SCENARIOS if scenario.short is not None]
RECOVERY_S = LEASE_S + 15.0
"""As measured, a lease and two seconds; a machine that does other things too takes longer."""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SHORT, ids=lambda scenario: scenario.name)
def test_nothing_is_lost_and_nothing_paid_twice(scenario: Scenario) -> None:
    assert scenario.short is not None
    figures = scenario.run(scenario.short)
    assert figures.violations == [], figures
    assert set(figures.states) == {"succeeded"}, figures
    assert max(figures.recovery_s, default=0.0) < RECOVERY_S
