"""The pages of the front door: the operators' at `/ui`, which speaks to the API like any client, and the viewer of the
API's description at `/docs`, which is Swagger UI. FastAPI's own loads it from other people's servers."""

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from codeforge.api.static_files import static_files


def ui_routes() -> APIRouter:
    """The pages and their files."""
    router = APIRouter(include_in_schema=False)
    own = files("codeforge.api") / "static"
    # Of this package nothing but the viewer's files is used.
    viewer = files("fastapi_offline") / "static"
    operators = static_files((own, "index.html"), (own, "app.js"), (own, "style.css"))
    description = static_files(
        (own, "docs.html"), (own, "docs.js"), (viewer, "swagger-ui-bundle.js"), (viewer, "swagger-ui.css")
    )

    @router.get("/")
    async def root() -> Response:
        return RedirectResponse("/ui")

    @router.get("/ui")
    async def operators_page() -> Response:
        return operators("index.html")

    @router.get("/ui/{name}")
    async def operators_file(name: str) -> Response:
        return operators(name)

    @router.get("/docs")
    async def description_page() -> Response:
        return description("docs.html")

    @router.get("/docs/{name}")
    async def description_file(name: str) -> Response:
        return description(name)

    return router
