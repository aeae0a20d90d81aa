"""What a call costs where the service does not say."""

import pytest

from codeforge.llm.prices import PRICES, cost, price


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18"])
def test_a_vendor_prefix_and_a_date_do_not_matter(name: str) -> None:
    assert price(name) == PRICES["gpt-4o-mini"]


def test_cost_is_per_million_tokens_and_direction() -> None:
    assert cost("gpt-4o", 1_000_000, 0) == pytest.approx(2.5)
    assert cost("gpt-4o", 1_000, 2_000) == pytest.approx(0.0225)


def test_an_unknown_model_costs_nothing() -> None:
    assert price("smollm2") is None
    assert cost("smollm2", 1_000_000, 1_000_000) == 0.0


def test_output_never_costs_less_than_input() -> None:
    assert all(0 < given <= answered for given, answered in PRICES.values())
