"""The console's ASGI application, a function of its parts.

NiceGUI has one app in a process, and so has the console: pages are registered with it here, and nowhere else.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import FastAPI
from nicegui import ui
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flstore_core import __version__
from services.common.logs import RequestLog
from services.common.prefix import BelowPrefix
from services.common.problems import exception_handlers
from services.console import links, login, shell
from services.console.downloads import add_downloads
from services.console.origin import OwnPagesOnly
from services.console.pages import VIEWS, View
from services.console.state import State

ANSWER_S = 5.0
"""Seconds within which a page has to be sent; a view that takes longer fills it later."""


def create_app(state: State) -> FastAPI:
    """Return the ASGI application of a console."""
    app = FastAPI(
        title="FLStore console",
        version=__version__,
        openapi_url=None,
        middleware=[
            Middleware(RequestLog),
            Middleware(OwnPagesOnly),
            Middleware(BelowPrefix, prefix=state.settings.root_path),
        ],
        exception_handlers=dict(exception_handlers),
    )
    app.state.console = state
    app.add_api_route("/healthz", _healthy, response_class=JSONResponse)
    app.add_api_route("/readyz", _healthy, response_class=JSONResponse)
    app.add_route(links.LOGIN, partial(login.log_in, state), methods=["POST"])
    app.add_route("/logout", partial(login.log_out, state), methods=["POST"])
    app.add_route("/theme/{theme}", login.choose_theme)
    add_downloads(app, state)
    for view in VIEWS:
        ui.page(view.path, response_timeout=ANSWER_S)(_page(state, view))
    ui.page(links.LOGIN)(_login_page(state))
    ui.run_with(app, title="FLStore", tailwind=False, show_welcome_message=False, favicon="🗂️", language="en-US")
    return app


def _page(state: State, view: View) -> Callable[[Request], Awaitable[Response | None]]:
    async def page(request: Request) -> Response | None:
        return await shell.show(state, view, request)

    return page


def _login_page(state: State) -> Callable[[Request], None]:
    def page(request: Request) -> None:
        login.draw(state, request)

    return page


async def _healthy() -> dict[str, str]:
    """Alive and ready: the console needs nobody to show a page, even if the page says that the gateway is away."""
    return {"status": "ok"}
