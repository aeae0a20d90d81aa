"""Deterministic ids: the same task, page or part always gets the same one, so that writing again changes nothing."""

import hashlib

from codeforge.identity import NAMESPACE, stable_id

__all__ = ["NAMESPACE", "content_hash", "stable_id"]


def content_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
