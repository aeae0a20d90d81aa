"""What Qdrant's error answers mean here."""

import json

from qdrant_client.http.exceptions import UnexpectedResponse

from codeforge.errors import VectorsUnavailable

ROW_FAULTS = frozenset({400, 413, 422})
"""Statuses that find fault with what was sent. 404 is a collection that is gone, 401 and 403 a key: no row's fault."""

NOT_FOUND = 404

MAX_TEXT = 300


def is_row_fault(error: UnexpectedResponse) -> bool:
    """Whether sending the same rows again cannot help."""
    return error.status_code in ROW_FAULTS


def is_without_collection(error: UnexpectedResponse) -> bool:
    """Whether a Qdrant server says that the collection is not there; another server's 404 means a wrong address."""
    return error.status_code == NOT_FOUND and _own_words(error) is not None


def what_it_said(error: UnexpectedResponse) -> str:
    """The server's own words, cut short."""
    words = _own_words(error)
    return f"status {error.status_code}" if words is None else words[:MAX_TEXT]


def _own_words(error: UnexpectedResponse) -> str | None:
    """None where the answer is not in Qdrant's form."""
    try:
        return str(json.loads(error.content)["status"]["error"])
    except (ValueError, TypeError, KeyError):
        return None


def unavailable(error: UnexpectedResponse) -> VectorsUnavailable:
    """The failure of a call that was no row's fault."""
    status = error.status_code
    if status in (401, 403):
        message = "the vector store refused the key (CODEFORGE_QDRANT_API_KEY)"
        return VectorsUnavailable(message, retryable=False)
    if status in ROW_FAULTS:
        return VectorsUnavailable(f"the vector store refused the request: {what_it_said(error)}", retryable=False)
    return VectorsUnavailable(f"the vector store failed with status {status}: {what_it_said(error)}")
