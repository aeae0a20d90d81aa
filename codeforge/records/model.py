"""The shapes of what a task leaves in the stores, and their bounds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from codeforge.stores.ports import Edge, GraphBatch, Node
from codeforge.task import Task

MAX_TEXTS = 2_000
"""Searchable texts of one task; the rest is dropped and counted in the Task's `texts_dropped`."""

MAX_CONTENT_BYTES = 64_000
"""UTF-8 bytes of one long property."""

MAX_TITLE_CHARS = 200
"""A title above a searchable text; longer ones are cut."""

MAX_SEARCH_CHARS = 2_000


class TextKind(StrEnum):
    """What a searchable text is, or is part of."""

    PAGE = "page"
    CHUNK = "chunk"
    REPORT = "report"
    CLAIM = "claim"
    VERDICT = "verdict"
    ARGUMENT = "argument"
    DIFF = "diff"
    ARTIFACT = "artifact"


@dataclass(frozen=True, slots=True)
class SeenPage:
    """The page that a text is of: the id of its Document, the hash of its whole text, and when it was fetched, in
    milliseconds since the epoch."""

    document: str
    version: str
    fetched_at: int


@dataclass(frozen=True, slots=True)
class SearchText:
    """One searchable text: `id` is a UUID text, `text` at most MAX_SEARCH_CHARS long; `answers` is the key that tasks
    find it by which it answers."""

    id: str
    kind: TextKind
    text: str
    url: str | None = None
    page: SeenPage | None = None
    answers: str | None = None

    def payload(self, task: Task) -> dict[str, Any]:
        """What is stored beside the vector; `created_at` is the task's, in milliseconds since the epoch."""
        seen = {} if self.page is None else asdict(self.page)
        found_by = {} if self.answers is None else {"answers": self.answers}
        return (
            seen
            | found_by
            | {
                "task_id": task.id,
                "type": task.type.value,
                "kind": self.kind.value,
                "tenant": task.tenant,
                "url": self.url,
                "created_at": task.created_at,
                "text": self.text,
            }
        )


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one worker type adds to the bare task. `texts` come in the order in which they are kept when there are
    too many."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    texts: list[SearchText] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TaskRecords:
    """All that one task leaves: `graph` for the graph store, `texts` to embed for the vector store."""

    graph: GraphBatch
    texts: Sequence[SearchText]


def clip_bytes(text: str, limit: int) -> str:
    """The longest beginning of the text that is at most `limit` bytes of UTF-8."""
    return text if len(text) * 4 <= limit else text.encode()[:limit].decode(errors="ignore")


def titled(titles: Sequence[str], text: str) -> str:
    """The text under its titles, each on a line, at most MAX_SEARCH_CHARS characters.

    A vector of a passage alone knows nothing of what the page is about: with the title before it, passages are found
    by words for the topic. A title with which the text begins anyway is not repeated.
    """
    above: list[str] = []
    for title in titles:
        line = " ".join(title.split())[:MAX_TITLE_CHARS]
        if line and line not in above and not text.lstrip("# \t").startswith(line):
            above.append(line)
    return "\n".join(part for part in [*above, text] if part)[:MAX_SEARCH_CHARS]
