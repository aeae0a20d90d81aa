"""From a service's refusal to our errors. No text of the service reaches an error unredacted."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from codeforge.errors import ModelError
from codeforge.retry_after import retry_after_s

EXCERPT_CHARS = 300
REDACTED = "***"
RETRIED_STATUSES = frozenset({408, 429})
WAITS = frozenset({408, 409, 425})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a client tries again: at most `retries` times, after a random wait of up to `base_s * 2**n` (at most
    `cap_s`) seconds (full jitter: aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter). A service that
    asks for more than `longest_wait_s` is not waited for."""

    retries: int = 2
    base_s: float = 0.5
    cap_s: float = 8.0
    longest_wait_s: float = 20.0

    def wait_s(self, tried: int, asked_s: float | None) -> float | None:
        """Seconds until the next try after `tried` (from 1) failed ones; None when there is none."""
        if tried > self.retries or (asked_s is not None and asked_s > self.longest_wait_s):
            return None
        jitter = random.uniform(0.0, min(self.cap_s, self.base_s * 2 ** (tried - 1)))  # noqa: S311  # no secret
        return jitter + (asked_s or 0.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers with lower-case names, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the service took the request."""
        return 200 <= self.status < 300

    @property
    def worth_retrying(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status in RETRIED_STATUSES or self.status >= 500

    @property
    def retry_after_s(self) -> float | None:
        """What `Retry-After` asks for, in seconds from now; None when absent or wrong."""
        return retry_after_s(self.headers.get("retry-after"))


def complaint_of(body: bytes) -> str:
    """The service's own words in an error body: `error.message` and `error.code`, `error`, `detail` or `message`;
    the raw text where it is no such JSON."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    if not isinstance(parsed, dict):
        return str(parsed)
    error = parsed.get("error", parsed.get("detail", parsed.get("message", "")))
    if isinstance(error, dict):
        parts = (error.get("message"), error.get("code"), error.get("param"))
        return " ".join(str(part) for part in parts if part is not None)
    return str(error)


def excerpt(text: str, secret: str | None) -> str:
    """One short line of `text` with the secret blanked."""
    shown = text.replace(secret, REDACTED) if secret else text
    line = " ".join(shown.split())
    return line if len(line) <= EXCERPT_CHARS else line[:EXCERPT_CHARS] + "…"


def failure(answer: Answer, secret: str | None) -> ModelError:
    """The error for an answer that is not 2xx. For a refused key the service's words are left out: some services
    repeat part of the key in them."""
    status = answer.status
    if status in (401, 402, 403):
        reason = {401: "refused the key", 402: "asks for payment", 403: "forbids the request"}[status]
        return ModelError(
            f"the model's service {reason} ({status}): check CODEFORGE_LLM_API_KEY or CODEFORGE_OPENROUTER_API_KEY",
            code="model_refused",
            retryable=False,
        )
    words = excerpt(complaint_of(answer.body), secret)
    said = f"the model's service answered {status} {_phrase(status)}" + (f": {words}" if words else "")
    if status == 429:
        return ModelError(said, code="model_rate_limited", retryable=True, retry_after_s=answer.retry_after_s)
    if status >= 500 or status in WAITS:
        return ModelError(said, code="model_unavailable", retryable=True, retry_after_s=answer.retry_after_s)
    return ModelError(said, code="model_rejected", retryable=False)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(unknown status)"
