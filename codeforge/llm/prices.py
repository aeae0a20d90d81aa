"""What models cost, for services that do not report it themselves.

US dollars per million tokens, standard tier, without cache discounts. Sources, read 2026-11-24: published copies of
OpenAI's price list (developers.openai.com/api/docs/pricing) and Anthropic's model overview (platform.claude.com/docs,
"Models and pricing"). OpenRouter reports the real cost of each call, so nothing here is used with it. A model that is
not listed costs 0.0: an unknown price is not guessed.
"""

import re

TOKENS_PER_PRICE = 1_000_000

# model: (input, output)
PRICES: dict[str, tuple[float, float]] = {
    "gpt-4o": (2.50, 10.00),
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-4.1": (2.00, 8.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1-nano": (0.10, 0.40),
    "gpt-5": (1.25, 10.00),
    "gpt-5-mini": (0.25, 2.00),
    "gpt-5.1": (1.25, 10.00),
    "gpt-5.4": (2.50, 15.00),
    "gpt-5.4-mini": (0.75, 4.50),
    "claude-haiku-4-5": (1.00, 5.00),
    "claude-sonnet-4-5": (3.00, 15.00),
    "claude-sonnet-5": (2.00, 10.00),
    "claude-opus-5": (5.00, 25.00),
}

_DATED = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2})$")


def price(model: str) -> tuple[float, float] | None:
    """(input, output) in USD per million tokens. A vendor prefix (`openai/`) and a snapshot's date are left out of
    the comparison; None for a model that is not listed."""
    return PRICES.get(_DATED.sub("", model.rsplit("/", 1)[-1]))


def cost(model: str, input_tokens: int, output_tokens: int) -> float:
    """US dollars of one call; 0.0 for a model that is not listed."""
    listed = price(model)
    if listed is None:
        return 0.0
    return (input_tokens * listed[0] + output_tokens * listed[1]) / TOKENS_PER_PRICE
