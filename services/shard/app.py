"""The shard's ASGI application, a function of its parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware

from services.common import tracing
from services.common.guard import Guard
from services.common.logs import RequestLog
from services.common.problems import exception_handlers
from services.common.proof import Keys
from services.common.startup import PROCESS, TellAge, open_early
from services.common.tasks import begin, end
from services.shard.routes import ROUTES
from services.shard.state import State


def create_app(state: State, keys: Keys) -> Starlette:
    """Return the ASGI application of a shard, for callers who have one of `keys`."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [
            begin(open_early(state.store, state.startup), "store-opener"),
            begin(state.prefetcher.run(), "prefetcher"),
        ]
        state.startup.reached(PROCESS)
        yield
        await end(*tasks)
        await state.prefetcher.save()
        state.store.close()

    app = Starlette(
        routes=ROUTES,
        middleware=[
            *tracing.middleware(),
            Middleware(RequestLog),
            Middleware(TellAge),
            Middleware(Guard, keys=keys),
        ],
        exception_handlers=exception_handlers,
        lifespan=lifespan,
    )
    app.state.shard = state
    return app
