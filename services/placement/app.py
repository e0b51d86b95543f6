"""The placement controller as a function of its parts."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware

from services.common import tasks
from services.common.guard import Guard
from services.common.logs import RequestLog
from services.common.problems import exception_handlers
from services.common.proof import Keys
from services.placement.forwarding import Forward
from services.placement.routes import ROUTES
from services.placement.state import State


def create_app(make_state: Callable[[], State], keys: Keys) -> Starlette:
    """Return the ASGI application, for callers who have one of `keys`.

    `make_state` is called on the event loop, on which the parts then run.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        state: State = make_state()
        app.state.placement = state
        reconciler = tasks.begin(state.run(), "reconciler")
        yield
        await tasks.end(reconciler)
        await state.close()

    return Starlette(
        routes=ROUTES,
        middleware=[Middleware(RequestLog), Middleware(Guard, keys=keys), Middleware(Forward)],
        exception_handlers=exception_handlers,
        lifespan=lifespan,
    )


def release_waiting(app: Starlette) -> None:
    """Answer every long poll, because the service is leaving."""
    app.state.placement.board.close()
