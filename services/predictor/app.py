"""The predictor as a function of its parts."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from fastapi import FastAPI
from starlette.middleware import Middleware

from flstore_core import __version__
from flstore_core.cache import Cache, Ledger
from flstore_core.models.engine import Engine
from flstore_core.models.running import Limits
from flstore_core.policies.registry import make_policy
from flstore_core.storage import ObjectStore
from services.common import tasks
from services.common.activity import Activity
from services.common.logs import RequestLog
from services.common.problems import exception_handlers
from services.predictor.kserving import serve_models
from services.predictor.routes import ROUTES
from services.predictor.settings import Settings
from services.predictor.state import State
from services.predictor.versions import Versions


def create_state(settings: Settings, store: ObjectStore, clock: Callable[[], float]) -> State:
    """Return the parts of a predictor, wired together; `clock` gives seconds that never go back."""
    policy = make_policy(settings.policy, settings.cache_bytes, clock, random.Random(settings.predictor))
    limits = Limits(settings.run_seconds, settings.run_bytes)
    engine = Engine(store, Cache(Ledger(policy, settings.cache_bytes, clock)), limits)
    return State(
        settings=settings,
        store=store,
        engine=engine,
        versions=Versions(store, engine, clock, settings.refresh_seconds),
        activity=Activity(clock),
        clock=clock,
        limiter=CapacityLimiter(settings.compute_threads),
        started=clock(),
    )


def create_app(state: State) -> FastAPI:
    """Return the ASGI application of a predictor."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        opener = tasks.begin(state.open_store(), "store-opener")
        yield
        await tasks.end(opener)
        state.store.close()

    app = FastAPI(
        title="FLStore predictor",
        version=__version__,
        routes=[*ROUTES],
        middleware=[Middleware(RequestLog)],
        exception_handlers={**exception_handlers},
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.predictor = state
    serve_models(app, state)
    return app
