"""What a service's refusal becomes."""

import json

import pytest

from codeforge.llm.failures import Answer, RetryPolicy, complaint_of, excerpt, failure


def test_waits_are_bounded_in_number_and_length() -> None:
    policy = RetryPolicy(retries=2, base_s=1.0, cap_s=1.5, longest_wait_s=10.0)

    assert all(0.0 <= (policy.wait_s(1, None) or 0.0) <= 1.0 for _ in range(50))
    assert all(0.0 <= (policy.wait_s(2, None) or 0.0) <= 1.5 for _ in range(50))
    assert policy.wait_s(3, None) is None


def test_jitter_spreads_the_waits() -> None:
    policy = RetryPolicy()

    assert len({policy.wait_s(2, None) for _ in range(20)}) > 10


def test_what_the_service_asks_for_is_waited_unless_it_is_too_long() -> None:
    policy = RetryPolicy(base_s=1.0, longest_wait_s=10.0)

    assert 5.0 <= (policy.wait_s(1, 5.0) or 0.0) <= 6.0
    assert policy.wait_s(1, 10.1) is None


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "model_rejected", False),
        (401, "model_refused", False),
        (402, "model_refused", False),
        (403, "model_refused", False),
        (404, "model_rejected", False),
        (408, "model_unavailable", True),
        (409, "model_unavailable", True),
        (422, "model_rejected", False),
        (429, "model_rate_limited", True),
        (302, "model_rejected", False),
        (500, "model_unavailable", True),
        (503, "model_unavailable", True),
        (529, "model_unavailable", True),
    ],
)
def test_each_status_has_its_code(status: int, code: str, retryable: bool) -> None:
    error = failure(Answer(status, {}, b'{"error": {"message": "why"}}'), None)

    assert (error.code, error.retryable) == (code, retryable)


def test_a_rate_limit_carries_when_to_come_back() -> None:
    assert failure(Answer(429, {"retry-after": "60"}, b""), None).retry_after_s == 60.0


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_settings_and_repeats_nothing(status: int) -> None:
    body = b'{"error": {"message": "Incorrect API key provided: sk-abcd***wxyz"}}'

    message = failure(Answer(status, {}, body), "sk-abcd-very-secret-wxyz").message

    assert "CODEFORGE_LLM_API_KEY" in message
    assert "CODEFORGE_OPENROUTER_API_KEY" in message
    assert "abcd" not in message


def test_a_key_that_the_service_repeats_is_blanked() -> None:
    error = failure(Answer(500, {}, b"upstream said: Bearer sk-secret is odd"), "sk-secret")

    assert "sk-secret" not in str(error)
    assert "***" in str(error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no", "code": "context_length_exceeded"}}, "no context_length_exceeded"),
        ({"error": "plain"}, "plain"),
        ({"detail": "from FastAPI"}, "from FastAPI"),
        ({"message": "from vLLM"}, "from vLLM"),
    ],
)
def test_the_services_own_words_are_found(body: object, words: str) -> None:
    assert complaint_of(json.dumps(body).encode()) == words


def test_words_that_are_no_json_are_shown_in_one_short_line() -> None:
    shown = excerpt(complaint_of(b"<html>\nbad\ngateway" + b"x" * 1_000), None)

    assert "\n" not in shown
    assert len(shown) < 320
