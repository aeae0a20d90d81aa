"""Errors as RFC 9457 problem details (`application/problem+json`) with a stable `code`."""

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import Counter
from starlette.exceptions import HTTPException

from codeforge.api.methods import allowed_methods
from codeforge.api.rate_headers import rate_headers
from codeforge.errors import (
    BodyTimeout,
    CodeForgeError,
    InvalidInput,
    LedgerUnavailable,
    RateLimited,
    TooMuch,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from codeforge.logs import logger

log = logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

DETAILS = {
    404: "there is nothing at this path; /openapi.json has all that there are",
    405: "the path does not have this method; `Allow` names those that it has",
}
"""What the framework has no more words for than the status."""


def problem(status: int, code: str, detail: str, **extra: Any) -> Response:
    """One problem. `type` is a reference that names its kind, and leads to no page; `title` is the status's phrase."""
    body = {"type": f"/problems/{code}", "title": HTTPStatus(status).phrase, "status": status, "code": code}
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    content = orjson.dumps(body | {"detail": detail} | extra)
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_of(error: CodeForgeError) -> Response:
    """The project's own errors. The field is named in `field` and in the text."""
    if isinstance(error, InvalidInput):
        detail = f"{error.field}: {error.message.removeprefix(f'{error.field} ')}"
        return problem(error.status, error.code, detail, field=error.field)
    response = problem(error.status, error.code, error.message)
    if not error.retryable and "Retry-After" in response.headers:
        del response.headers["Retry-After"]  # it helps nobody: a setting is missing, say
    if isinstance(error, BodyTimeout):
        response.headers["Connection"] = "close"  # what still comes of the body is no request
    if isinstance(error, UnsupportedMediaType):
        response.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
    if isinstance(error, TooMuch):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, RateLimited):
        rate = rate_headers(error.quota, error.window_s, error.remaining, error.retry_after_s)
        response.headers.update(rate)
    return response


class Failures:
    """The project's own errors as answers: told in the log, and counted where the ledger failed."""

    def __init__(self, ledger_errors: Counter) -> None:
        self._ledger_errors = ledger_errors

    def response(self, request: Request, error: CodeForgeError) -> Response:
        """The problem that the error is."""
        if isinstance(error, LedgerUnavailable):
            self._ledger_errors.inc()
        if isinstance(error, Unavailable):
            log.warning("request_not_served", path=request.url.path, code=error.code, error=error.message)
        elif not isinstance(error, Unauthorized) and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("request_failed", path=request.url.path, code=error.code)
        return problem_of(error)


def install_problems(app: FastAPI, failures: Failures) -> None:
    """Every error that leaves the app is a problem."""

    @app.exception_handler(CodeForgeError)
    async def own(request: Request, error: CodeForgeError) -> Response:
        return failures.response(request, error)

    @app.exception_handler(RequestValidationError)
    async def parameters(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or "body"
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_input", f"{field}: {first['msg']}", field=field)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(allowed_methods(request))
            if request.method == "OPTIONS":
                return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        response = problem(error.status_code, code, DETAILS.get(error.status_code, str(error.detail)))
        response.headers.update(headers)
        return response

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> Response:
        log.exception("request_crashed", path=request.url.path, exc_info=error)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "an error of this service; it was logged")
