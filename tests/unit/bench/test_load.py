"""What wrk reports, and what makes its report worthless."""

import pytest

from bench.load import read

REPORT = """\
Running 3s test @ http://127.0.0.1:8080/tasks
  1 threads and 32 connections
  Latency Distribution
     50%    5.10ms
     75%    6.00ms
     90%  900.00us
     99%    1.20s
  12000 requests in 3.00s, 2.00MB read
Requests/sec:   4000.50
"""


def test_throughput_and_percentiles_are_read() -> None:
    assert read(REPORT).figures == {"per_s": 4000.5, "p50_ms": 5.1, "p99_ms": 1200.0}


@pytest.mark.parametrize(
    "line", ["  Non-2xx or 3xx responses: 7", "  Socket errors: connect 0, read 3, write 0, timeout 4"]
)
def test_a_run_with_refusals_has_no_figures(line: str) -> None:
    load = read(REPORT + line + "\n")
    assert load.refused == 7
    with pytest.raises(RuntimeError, match="7 requests"):
        _ = load.figures
