"""Port: a service that opens a page in a browser and gives its HTML."""

from dataclasses import dataclass
from typing import Protocol

from codeforge.web.document import Download


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page after its scripts ran. `cost` is what the service says that it cost, in the service's own unit."""

    download: Download
    cost: float


class Renderer(Protocol):
    """Renders pages; a paid service, so it is asked only where it is needed."""

    async def render(self, url: str, *, unblock: bool, within_s: float) -> Rendered:
        """`unblock` asks for what passes a challenge, at a higher price. Raises FetchError: `render_failed`,
        `render_refused`, `render_rate_limited`, `too_large`, `timeout`, `http_status` and its kin."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...
