"""The order in which a worker asks its queues."""

from codeforge.broker.app import queues
from codeforge.broker.queue_order import StrictTurns
from codeforge.worker_types import WorkerType


def test_every_high_queue_comes_before_every_normal_and_low_one() -> None:
    cycle = StrictTurns()
    cycle.update(["scrape.low", "scrape", "coding", "coding.high", "scrape.high", "coding.low"])
    assert cycle.consume(6) == ["coding.high", "scrape.high", "scrape", "coding", "scrape.low", "coding.low"]


def test_types_of_one_priority_take_turns() -> None:
    cycle = StrictTurns(queue.name for queue in queues(tuple(WorkerType)))
    first = cycle.consume(4)
    cycle.rotate(first[0])
    assert cycle.consume(4) == [*first[1:], first[0]]


def test_a_queue_that_answered_stays_within_its_priority() -> None:
    cycle = StrictTurns(["scrape.high", "scrape", "coding", "scrape.low"])
    assert cycle.rotate("scrape.high") == "scrape.high"
    cycle.rotate("scrape")
    assert cycle.consume(4) == ["scrape.high", "coding", "scrape", "scrape.low"]


def test_an_update_keeps_the_turns_of_queues_that_stay() -> None:
    cycle = StrictTurns(["coding", "scrape", "debate"])
    cycle.rotate("coding")
    cycle.update(["coding", "debate", "analysis"])
    assert cycle.consume(9) == ["debate", "coding", "analysis"]


def test_a_queue_that_is_not_ours_comes_last_and_an_unknown_answer_changes_nothing() -> None:
    cycle = StrictTurns(["other", "scrape.low"])
    cycle.rotate("gone")
    assert cycle.consume(9) == ["scrape.low", "other"]
