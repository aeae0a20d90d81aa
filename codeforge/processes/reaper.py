"""The reaper as a process."""

import asyncio

from codeforge.background import Background
from codeforge.ledger.headroom import require_noeviction
from codeforge.logs import configure_logs
from codeforge.reaping import Reaper
from codeforge.settings import Settings
from codeforge.wiring.busy_pods import busy_pods
from codeforge.wiring.reaper import reaper_ledger


def serve(settings: Settings) -> None:
    """Reaps until SIGTERM."""
    configure_logs(settings, "reaper")
    require_noeviction(settings.redis_address)

    async def main() -> None:
        background = Background("reaper", settings.health_file)
        async with reaper_ledger(settings) as ledger:
            reaper = Reaper(ledger, background)
            async with busy_pods(settings, lambda: reaper.leads) as marking:
                await background.run(reaper.turn, *marking)
            await reaper.step_down()

    asyncio.run(main())
