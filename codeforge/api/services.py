"""The app's services, as routes depend on them."""

from typing import cast

from fastapi import Request

from codeforge.wiring.api import ApiServices


def services(request: Request) -> ApiServices:
    """A dependency: what `wiring.api_services` made at start-up."""
    return cast("ApiServices", request.app.state.services)
