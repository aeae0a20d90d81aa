"""Deterministic ids: the same task, page or part always gets the same one, so that writing again changes nothing."""

import hashlib
from uuid import UUID, uuid5

NAMESPACE = UUID("7c1f0d5e-93b4-4a62-8f0e-2b6a5d41c9e7")
"""The project's own UUID namespace. Changing it orphans everything that is stored."""

_SEPARATOR = "\x1f"


def stable_id(*parts: str) -> str:
    """The version 5 UUID (RFC 9562) of the parts, as text.

    The parts' lengths go into the name, so that ("ab", "c") and ("a", "bc") differ whatever they hold.
    """
    lengths = ",".join(str(len(part)) for part in parts)
    return str(uuid5(NAMESPACE, _SEPARATOR.join((lengths, *parts))))


def content_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
