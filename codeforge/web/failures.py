"""What went wrong below HTTP, in this project's terms."""

import ssl

import httpcore

from codeforge.errors import FetchError

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
