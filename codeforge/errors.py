"""The whole error tree. Imports nothing of this project.

    CodeForgeError
    ├── SettingsError            a setting is missing or wrong; stops the process at start
    ├── StackError               `codeforge up` cannot start, or a part of it cannot be kept running
    ├── RequestError             the client's fault; nothing was enqueued
    │   ├── InvalidInput             422 names the field
    │   │   ├── BlockedAddress           422 an outgoing address that the guard refuses
    │   │   └── UnknownParent            422 the tenant has no such task
    │   ├── NotSupported             422 a field that nothing enforces yet
    │   ├── BadRequest               400 the body is no JSON
    │   ├── BodyTooLarge             413
    │   ├── UnsupportedMediaType     415 the body is no JSON, and says so itself
    │   ├── BodyTimeout              408 the body stopped coming
    │   ├── Unauthorized             401
    │   ├── TaskNotFound             404
    │   ├── ClaimNotFound            404
    │   ├── IdempotencyConflict      409
    │   ├── StateConflict            409 the task's state does not allow it
    │   └── TooMuch                  429 too much at once; says when to come back
    │       ├── TenantQueueFull          as many tasks of the tenant wait as may
    │       └── RateLimited              faster than the tenant's rate
    ├── Unavailable              503, try again later
    │   ├── ModelNotConfigured
    │   ├── LedgerUnavailable
    │   │   └── LedgerFull           its memory is nearly full: nothing new, so that what runs can finish
    │   ├── NotReplicated            written, but too few replicas have it yet; it may run
    │   ├── OutboxFull               too many results wait for the stores; tasks that run still finish
    │   ├── GraphUnavailable
    │   ├── VectorsUnavailable
    │   ├── EmbeddingsUnavailable
    │   ├── TooManyStreams
    │   └── ClusterUnavailable       Kubernetes' API server gave no answer that helps
    │       ├── ClusterBusy              it wants to be asked later
    │       └── ClusterForbidden         the process's ServiceAccount has no right to it
    ├── CapacityError            a manifest, trace or option that the capacity simulator cannot use; names the field
    ├── PodChanged               a pod is gone, or another by now; the next look tells
    ├── StaleClaim               a write of a worker that no longer owns the task; it is refused
    ├── RowRejected              a store will never take this row
    └── TaskError                how a task fails; recorded in its `error`
        ├── TaskTimeout
        ├── ModelError               the model's service failed, refused or answered nonsense
        ├── SearchError              no web search, or the services for it failed
        └── FetchError               one URL could not be had
            └── OutOfTime                    because the task's own time for fetching was over

Each has a stable `code`, an HTTP `status`, and `retryable`: whether trying again can help.
"""


class CodeForgeError(Exception):
    """Base of every error that this project raises. `str()` is safe to show to a client: it holds no secret."""

    code = "internal_error"
    status = 500
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if retryable is not None:
            self.retryable = retryable


class SettingsError(CodeForgeError):
    """A setting is missing or wrong. The message is one line that names it."""

    code = "settings_error"


class StackError(CodeForgeError):
    """The local stack cannot start or go on. Codes: `port_in_use`, `data_dir_in_use`, `data_dir_unusable`,
    `engine_missing`, `child_failed`."""

    code = "child_failed"


class CapacityError(CodeForgeError):
    """A manifest, a trace or an option that the simulator cannot use. The message is one line that names the field."""

    code = "capacity_input"


class RequestError(CodeForgeError):
    """The client's fault."""

    status = 400


class InvalidInput(RequestError):
    """A field of the request is wrong. `field` is its path, dots between the parts: `input.urls.0`."""

    code = "invalid_input"
    status = 422

    def __init__(self, message: str, *, field: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


class BlockedAddress(InvalidInput):
    """An outgoing address that the guard refuses: wrong scheme, userinfo, or not globally routable."""

    code = "blocked_address"


class UnknownParent(InvalidInput):
    """A submission names a parent that its tenant does not have; `index` is the task's place in it, from 0."""

    def __init__(self, index: int) -> None:
        super().__init__("no such task", field="parent_id")
        self.index = index


class NotSupported(InvalidInput):
    """A field of the contract that nothing enforces yet, and which is therefore refused."""

    code = "not_supported"


class BadRequest(RequestError):
    """The body cannot be read at all."""

    code = "invalid_json"


class BodyTooLarge(RequestError):
    code = "body_too_large"
    status = 413


class UnsupportedMediaType(RequestError):
    """The body is no JSON, and its `Content-Type` or `Content-Encoding` says so."""

    code = "unsupported_media_type"
    status = 415


class BodyTimeout(RequestError):
    """The body did not come to its end in time."""

    code = "body_timeout"
    status = 408
    retryable = True


class Unauthorized(RequestError):
    code = "unauthorized"
    status = 401


class TaskNotFound(RequestError):
    code = "task_not_found"
    status = 404


class ClaimNotFound(RequestError):
    code = "claim_not_found"
    status = 404


class IdempotencyConflict(RequestError):
    code = "idempotency_conflict"
    status = 409


class StateConflict(RequestError):
    """The task's state does not allow what was asked."""

    code = "state_conflict"
    status = 409


class TooMuch(RequestError):
    """The tenant wants more than it may have now. `retry_after_s` is when to come back, in whole seconds."""

    code = "too_much"
    status = 429
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int = 10) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TenantQueueFull(TooMuch):
    code = "tenant_queue_full"


class RateLimited(TooMuch):
    """The tenant may have `quota` tasks accepted in `window_s` seconds, of which `remaining` are left."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after_s: int, quota: int, window_s: int, remaining: int) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.quota = quota
        self.window_s = window_s
        self.remaining = remaining


class Unavailable(CodeForgeError):
    """Something that the request needs is not there now."""

    code = "unavailable"
    status = 503
    retryable = True


class ModelNotConfigured(Unavailable):
    code = "model_not_configured"
    retryable = False


class LedgerUnavailable(Unavailable):
    code = "ledger_unavailable"


class LedgerFull(LedgerUnavailable):
    code = "ledger_full"


class NotReplicated(Unavailable):
    """Too few replicas confirmed a submission in time. The tasks may exist and run all the same."""

    code = "not_replicated"


class OutboxFull(Unavailable):
    code = "outbox_full"


class ClusterUnavailable(Unavailable):
    """`retry_after_s` is what the API server asked for, if it did."""

    code = "cluster_unavailable"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ClusterBusy(ClusterUnavailable):
    code = "cluster_busy"


class ClusterForbidden(ClusterUnavailable):
    code = "cluster_forbidden"
    retryable = False


class PodChanged(CodeForgeError):
    code = "pod_changed"


class GraphUnavailable(Unavailable):
    code = "graph_unavailable"


class VectorsUnavailable(Unavailable):
    code = "vectors_unavailable"


class EmbeddingsUnavailable(Unavailable):
    code = "embeddings_unavailable"


class TooManyStreams(Unavailable):
    code = "too_many_streams"


class StaleClaim(CodeForgeError):
    """The writer no longer owns the task: its fence or claim is not the current one. Nothing was written."""

    code = "stale_claim"
    status = 409


class RowRejected(CodeForgeError):
    """A store refused a row for what it is; sending it again cannot help."""

    code = "row_rejected"


class TaskError(CodeForgeError):
    """How a task fails. Agents raise it or a subclass; the execution path decides on a retry by `retryable`."""

    code = "task_failed"


class TaskTimeout(TaskError):
    code = "timeout"


class ModelError(TaskError):
    """The model's service failed. Codes: `model_unavailable`, `model_rate_limited`, `model_refused`,
    `model_rejected`, `model_bad_output`. `retry_after_s` is what the service asked for, in seconds."""

    code = "model_unavailable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, retryable=retryable)
        self.retry_after_s = retry_after_s


class SearchError(TaskError):
    """Web search failed. Codes: `search_not_configured`, `search_unavailable`, `search_rate_limited`,
    `search_refused`, `search_bad_output`."""

    code = "search_unavailable"


class FetchError(TaskError):
    """One URL could not be had. Codes: `blocked_address`, `dns_failed`, `connect_failed`, `tls_failed`, `timeout`,
    `http_401`, `http_403`, `http_429`, `http_503`, `http_status` (any other status), `challenge`, `too_many_redirects`,
    `redirect_loop`, `too_large`, `unsupported_content_type`, `invalid_url`, `bad_response`, `robots_disallowed`,
    `host_busy`, `render_not_configured`, `render_limit`, `render_failed`, `render_refused`,
    `render_rate_limited`."""

    code = "connect_failed"

    def __init__(self, message: str, *, code: str, url: str, retryable: bool = False) -> None:
        super().__init__(message, code=code, retryable=retryable)
        self.url = url


class OutOfTime(FetchError):
    """One URL was still under way when the task's time for fetching was over. It has the code of what it waited for."""

    def __init__(self, error: FetchError) -> None:
        super().__init__(error.message, code=error.code, url=error.url, retryable=error.retryable)
