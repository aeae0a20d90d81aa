"""What went wrong, below HTTP and by its statuses, in this project's terms."""

import ssl
from http import HTTPStatus

import httpcore

from codeforge.errors import FetchError
from codeforge.retry_after import retry_after_s

_RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_STATUSES_WITH_A_CODE = frozenset({401, 403, 429, 503})

TransportFailure = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
"""Everything that httpcore raises for a request that was well formed."""


def transport_failure(exc: Exception, url: str) -> FetchError:
    """The FetchError for one of httpcore's exceptions. Messages are fixed texts: theirs may hold addresses."""
    cause = exc.args[0] if exc.args else None  # httpcore passes on what it caught as the argument
    if isinstance(cause, ssl.SSLError):
        why = getattr(cause, "verify_message", None) or cause.reason or "the handshake failed"
        return FetchError(f"no secure connection: {why}", code="tls_failed", url=url)
    code, message, retryable = _classified(exc)
    return FetchError(message, code=code, url=url, retryable=retryable)


def _classified(exc: Exception) -> tuple[str, str, bool]:
    match exc:
        case httpcore.ConnectTimeout():
            return "connect_failed", "the server could not be reached in time", True
        case httpcore.ConnectError():
            return "connect_failed", "the server could not be reached", True
        case httpcore.TimeoutException():
            return "timeout", "the server took too long", True
        case httpcore.NetworkError():
            return "connect_failed", "the connection broke", True
        case httpcore.LocalProtocolError():
            return "invalid_url", "the address cannot be sent in a request", False
        case _:
            return "bad_response", "the server's answer is not valid HTTP", True


def status_failure(status: int, retry_after: str | None, url: str) -> FetchError:
    """The FetchError for an answer that is no page: code `http_401`, `http_403`, `http_429` or `http_503`, and
    `http_status` for all others."""
    message = f"the server answered {status_phrase(status)}"
    seconds = retry_after_s(retry_after)
    if seconds is not None:
        message += f" and asks to wait for {seconds:.0f} s"
    code = f"http_{status}" if status in _STATUSES_WITH_A_CODE else "http_status"
    return FetchError(message, code=code, url=url, retryable=status in _RETRYABLE_STATUSES)


def status_phrase(status: int) -> str:
    """Such as `404 Not Found`."""
    known = {member.value: member.phrase for member in HTTPStatus}
    return f"{status} {known[status]}" if status in known else str(status)
