"""The projector as a process."""

import asyncio

from codeforge.background import Background
from codeforge.garbage import collect_seldom
from codeforge.ledger.headroom import require_noeviction
from codeforge.logs import configure_logs
from codeforge.projector_loop import ProjectorLoop
from codeforge.settings import Settings
from codeforge.tracing import configure_tracing, end_tracing
from codeforge.wiring.projector import projector_parts


def serve(settings: Settings) -> None:
    """Projects until SIGTERM."""
    configure_logs(settings, "projector")
    configure_tracing(settings, "projector")
    require_noeviction(settings.redis_address)

    async def main() -> None:
        background = Background("projector", settings.health_file)
        async with projector_parts(settings) as parts:
            collect_seldom()
            loop = ProjectorLoop(parts.outbox, parts.projector, parts.ledger, parts.graph, parts.vectors, background)
            await background.run(loop.turn)
            await loop.release()

    try:
        asyncio.run(main())
    finally:
        end_tracing()
