"""The app's services, as routes depend on them."""

from typing import cast

from fastapi import Request

from codeforge.wiring.api import ApiServices


async def services(request: Request) -> ApiServices:
    """A dependency: what `wiring.api_services` made at start-up. A coroutine: FastAPI runs functions in threads."""
    return cast("ApiServices", request.app.state.services)
