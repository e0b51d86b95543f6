"""The predictor's ASGI application, a function of its parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware

from flstore_core import __version__
from services.common import tasks, tracing
from services.common.guard import Guard
from services.common.logs import RequestLog
from services.common.problems import exception_handlers
from services.common.proof import Keys
from services.common.startup import TellAge, open_early
from services.predictor.keeping import keeping
from services.predictor.kserving import serve_models
from services.predictor.routes import ROUTES
from services.predictor.state import State


def create_app(state: State, keys: Keys) -> FastAPI:
    """Return the ASGI application of a predictor, for callers who have one of `keys`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        opener = tasks.begin(open_early(state.store), "store-opener")
        async with keeping(state.processes):
            yield
        await tasks.end(opener)
        state.store.close()

    app = FastAPI(
        title="FLStore predictor",
        version=__version__,
        routes=[*ROUTES],
        middleware=[
            *tracing.middleware(),
            Middleware(RequestLog),
            Middleware(TellAge),
            Middleware(Guard, keys=keys),
        ],
        exception_handlers={**exception_handlers},
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.predictor = state
    serve_models(app, state)
    return app
