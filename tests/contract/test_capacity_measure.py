"""What a task costs Redis, measured on the embedded Valkey."""

import asyncio
from dataclasses import asdict

from codeforge.capacity.redis_load import RedisCosts
from codeforge.cli.capacity_measure import measured_costs


def test_the_costs_are_those_that_the_simulator_goes_by() -> None:
    """Commands and bytes are the code's own, the same on any machine but for the last digits; time is not compared."""
    measured, known = asdict(asyncio.run(measured_costs(1_000))), asdict(RedisCosts())
    for name in known:
        if name.endswith("_us"):
            assert measured[name] > 0
        elif name.endswith("_bytes"):
            assert 0.75 * known[name] <= measured[name] <= 1.33 * known[name]
        else:
            assert abs(measured[name] - known[name]) <= max(0.3, 0.1 * known[name])
