"""When a child that died is started again."""

import random

from codeforge.local.restart_policy import MAX_DELAY_S, STEADY_S, RestartPolicy


def policy() -> RestartPolicy:
    return RestartPolicy(random.Random(1))


def test_a_child_that_was_never_ready_gets_three_starts() -> None:
    child = policy()
    delays = [child.died(0.1) for _ in range(3)]
    assert None not in delays[:2]
    assert delays[2] is None


def test_a_ready_child_is_started_again_within_a_second() -> None:
    child = policy()
    child.became_ready()
    delay = child.died(5.0)
    assert delay is not None
    assert delay < 1.0


def test_deaths_before_readiness_do_not_slow_the_first_restart() -> None:
    child = policy()
    child.died(0.1)
    child.died(0.1)
    child.became_ready()
    delay = child.died(5.0)
    assert delay is not None
    assert delay < 1.0


def test_a_child_that_keeps_dying_is_started_ever_later_but_never_given_up() -> None:
    child = policy()
    child.became_ready()
    delays = [child.died(1.0) for _ in range(20)]
    known = [delay for delay in delays if delay is not None]
    assert len(known) == 20
    assert known[4] > 4 * known[0]
    assert MAX_DELAY_S * 0.8 <= known[-1] <= MAX_DELAY_S * 1.2


def test_a_long_run_forgets_earlier_deaths() -> None:
    child = policy()
    child.became_ready()
    for _ in range(10):
        child.died(1.0)
    delay = child.died(STEADY_S)
    assert delay is not None
    assert delay < 1.0
