"""A worker's own view of its lease."""

from codeforge.ledger.lease import Lease


def test_lease_ends_before_it_ends_for_the_ledger() -> None:
    now = [100.0]
    lease = Lease(10, lambda: now[0])
    assert not lease.holds
    sent_at = lease.now()
    now[0] = 103.0  # the answer took three seconds: the end counts from the sending
    lease.renewed(sent_at)
    assert lease.holds
    now[0] = 108.9
    assert lease.holds
    now[0] = 109.0
    assert not lease.holds


def test_late_answer_of_an_older_renewal_shortens_nothing() -> None:
    now = [0.0]
    lease = Lease(10, lambda: now[0])
    lease.renewed(5.0)
    lease.renewed(1.0)
    now[0] = 13.0
    assert lease.holds
