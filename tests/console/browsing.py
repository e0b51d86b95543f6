"""A simulated browser before a console in this process: pages are made as ever, and looked at in Python."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx
import pytest
from nicegui import Client, ui
from nicegui.functions.download import download
from nicegui.functions.navigate import Navigate
from nicegui.functions.notify import notify
from nicegui.testing.general import nicegui_reset_globals
from nicegui.testing.user import User
from starlette.types import ASGIApp

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.client.exchange import NoResponse
from services.console import app as application
from services.console import shell
from services.console.app import create_app
from services.console.session import Connect
from services.console.settings import Settings
from services.console.state import create_state

SETTINGS = Settings("http://gateway")


class InProcess(AsyncFLStore):
    """A client that calls an ASGI application in place of a gateway's address."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        super().__init__("http://gateway", token, retries=0)
        self._transport = httpx.ASGITransport(app)

    def _pools(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self._transport)


class Away(AsyncFLStore):
    """A client whose gateway is not there; no socket is opened to find that out."""

    def __init__(self, token: str | None) -> None:
        super().__init__("http://gateway", token, retries=0)

    async def _send(self, request: object) -> NoResponse:
        return NoResponse("http://gateway", "nobody is there", timed_out=False)


def to(app: ASGIApp) -> Connect:
    """Return what connects a console to an application in this process."""
    return lambda token: InProcess(app, token)


async def sees(user: User, words: str) -> None:
    """Wait until the page shows these words: on a busy machine a view fills after its page was sent."""
    await user.should_see(words, retries=300)


@asynccontextmanager
async def browsing(
    connect: Connect = Away, settings: Settings = SETTINGS, patience_s: float = 60.0
) -> AsyncIterator[User]:
    """Yield a browser before a console; NiceGUI's globals are as before afterwards."""
    _freeze()
    with nicegui_reset_globals(), pytest.MonkeyPatch.context() as patch:
        # Pages are sent whole, however slow the machine is.
        patch.setattr(shell, "PATIENCE_S", patience_s)
        patch.setattr(application, "ANSWER_S", patience_s + 60.0)
        try:
            app = create_app(create_state(settings, connect))
            async with app.router.lifespan_context(app), _client(app) as client:
                yield User(client)
        finally:
            # Or else NiceGUI takes the modules of the pages out of `sys.modules`, and their parents with them.
            Client.page_routes.clear()
            ui.navigate, ui.notify, ui.download = Navigate(), notify, download


@cache
def _freeze() -> None:
    """Have NiceGUI's searches through memory, three in each test, pass over what is there for good."""
    gc.collect()
    gc.freeze()


def _client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
