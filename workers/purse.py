"""Model calls within a budget of tokens."""

import json
import math
from collections.abc import Sequence

from codeforge.agent import AgentContext, Message, ModelReply, ModelRequest

TOKENS_PER_BYTE = 1 / 3
"""Of a prompt that no model has counted yet. Tokenizers make some 4 bytes of English a token, fewer of other
languages and of numbers."""

MARGIN = 1.1
"""How far the next prompt may be denser than the densest so far."""

TOKENS_PER_MESSAGE = 12
MIN_ANSWER = 150


class BudgetSpent(Exception):
    """The next call would not fit into the budget. The agent that holds the purse catches it."""


class Purse:
    """Makes model calls as long as they fit: an input is estimated before it is sent, at the rate that the service
    itself has reported so far, and the answer is bounded by what is left then. `limit` None is no bound.

    What it decides follows from the replies alone, which are journaled: another attempt decides alike.
    """

    def __init__(self, ctx: AgentContext, limit: int | None) -> None:
        self._ctx = ctx
        self._limit = limit
        self._rate: float | None = None
        self.spent = 0
        self.calls = 0

    @property
    def limited(self) -> bool:
        """Whether there is a budget at all."""
        return self._limit is not None

    async def model(self, name: str, request: ModelRequest) -> ModelReply:
        """As `AgentContext.model`, with fewer tokens for the answer where not all fit. Raises BudgetSpent."""
        size = _size(request.messages, request.json_schema)
        answer = self.answer_tokens(size, request.max_tokens)
        if answer < min(MIN_ANSWER, request.max_tokens):
            raise BudgetSpent
        reply = await self._ctx.model(name, request.model_copy(update={"max_tokens": answer}))
        self.calls += 1
        # A service that does not count is counted for: the budget holds all the same.
        taken = reply.input_tokens or self._estimate(size)
        self.spent += taken + (reply.output_tokens or math.ceil(len(reply.text.encode()) * TOKENS_PER_BYTE))
        self._rate = max(self._rate or 0.0, taken / size)
        return reply

    def answer_tokens(self, prompt_bytes: int, most: int) -> int:
        """How long an answer to such a prompt may be; 0 or less where the prompt alone is too much."""
        return most if self._limit is None else min(most, self._limit - self.spent - self._estimate(prompt_bytes))

    def affords(self, prompt_bytes: int, answer: int, reserve: int) -> bool:
        """Whether such a call leaves `reserve` tokens for what must come after it."""
        return self.answer_tokens(prompt_bytes, answer + reserve) >= answer + reserve

    def prompt_bytes(self, answer: int, most: int) -> int:
        """How long a prompt may be, at most `most` bytes, that leaves `answer` tokens; 0 or less for none."""
        if self._limit is None:
            return most
        return min(most, math.floor((self._limit - self.spent - answer - 4 * TOKENS_PER_MESSAGE) / self._per_byte))

    def share(self, part: float, least: int, most: int) -> int:
        """This part of what is left, within bounds, in tokens."""
        if self._limit is None:
            return most
        return max(least, min(most, math.floor((self._limit - self.spent) * part)))

    @property
    def _per_byte(self) -> float:
        return TOKENS_PER_BYTE if self._rate is None else min(1.0, self._rate * MARGIN)

    def _estimate(self, prompt_bytes: int) -> int:
        return math.ceil(prompt_bytes * self._per_byte) + 4 * TOKENS_PER_MESSAGE


def size_of(*texts: str) -> int:
    """Their length in bytes of UTF-8."""
    return sum(len(text.encode(errors="replace")) for text in texts)


def _size(messages: Sequence[Message], schema: object) -> int:
    """A schema counts too: it is sent as text to services that know no other way."""
    return max(1, size_of(*(message.content for message in messages), "" if schema is None else json.dumps(schema)))
