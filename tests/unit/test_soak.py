"""What the soak calls wrong, and how it reads memory."""

from collections import Counter
from typing import Any, cast

import pytest

from tests.soak.load import Load
from tests.soak.report import Outcome
from tests.soak.verdict import Comparison
from tests.soak.watch import VARIES, Life, Watch

DELAYED = 2
TASK = "01a20b9a-70a9-76c1-8747-506584aa2684"


def outcome(**changes: Any) -> Outcome:
    """Ten tasks that were accepted, of which all are where they should be."""
    load = Load("http://api", "http://site", 1.0)
    load.accepted["scrape"] = 8
    fields: dict[str, Any] = {
        "machine": "", "minutes": 1.0, "killed": 1, "load": load, "watch": cast("Watch", None),
        "comparisons": [Comparison("submitted scrape", 10, 10), Comparison("finished scrape succeeded", 8, 8)],
        "nodes": Counter(succeeded=8), "keys_before": Counter(), "keys_after": Counter({"cf:stats": 1}),
        "redis_mb": (1.0, 1.0), "drain_s": 1.0, "delayed": DELAYED, "alerts": set(),
    }  # fmt: skip
    return Outcome(**(fields | changes))


def test_nothing_is_wrong_when_all_agree() -> None:
    assert outcome().wrong == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"comparisons": [Comparison("submitted scrape", 10, 9)]}, "submitted scrape: 10 is 9 in Prometheus"),
        ({"comparisons": [Comparison("submitted scrape", 10, None)]}, "is None in Prometheus"),
        ({"comparisons": [Comparison("submitted scrape", 11, 11)]}, "10 tasks were accepted, the ledger counts 11"),
        ({"comparisons": [Comparison("submitted scrape", 10, 10)]}, "of 10 tasks 0 ended and 2 are delayed"),
        ({"nodes": Counter(succeeded=7)}, "8 tasks ended, the graph has 7"),
        ({"keys_after": Counter({"cf:task:*": 9})}, "9 keys cf:task:* stayed"),
    ],
)
def test_what_does_not_agree_is_told(changes: dict[str, Any], said: str) -> None:
    assert said in "; ".join(outcome(**changes).wrong)


def test_the_slope_leaves_out_the_start() -> None:
    at_s = [float(second) for second in range(0, 600, 10)]
    grown = Life(at_s, [second if second < 120 else 120 + (second - 120) / 36 for second in at_s], [5] * len(at_s))
    assert grown.slope_mb_h == pytest.approx(100.0)
    assert Life(at_s[:10], at_s[:10], [5] * 10).slope_mb_h is None


@pytest.mark.parametrize("key", [f"cf:task:{TASK}", f"cf:events:{TASK}", "cf:outbox:3", "cf:owned:vm:11409:c6600694"])
def test_keys_of_one_kind_count_as_one(key: str) -> None:
    assert not any(character.isdigit() for character in VARIES.sub("*", key))
