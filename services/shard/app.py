"""The shard as a function of its parts."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.middleware import Middleware

from flstore_core.cache import Cache, Ledger, Rivals
from flstore_core.policies.base import Policy
from flstore_core.policies.registry import make_policy
from flstore_core.shard.engine import Engine
from flstore_core.storage import ObjectStore
from services.common.activity import Activity
from services.common.logs import RequestLog
from services.common.problems import exception_handlers
from services.common.startup import PROCESS, Startup
from services.common.tasks import begin, end
from services.shard.metrics import registry_of
from services.shard.routes import ROUTES
from services.shard.settings import Settings
from services.shard.state import State

SHADOWS = ("tailored", "lru+arrival", "lfu+arrival", "s3-fifo+arrival", "gdsf+arrival")
"""Policies that a shadow cache is kept for, beside the one in charge."""


def create_state(settings: Settings, store: ObjectStore, clock: Callable[[], float]) -> State:
    """Return the parts of a shard, wired together; `clock` gives seconds that never go back."""
    budget = settings.cache_bytes

    def policy(name: str) -> Policy:
        return make_policy(name, budget, clock, random.Random(settings.shard))

    rivals = Rivals({name: policy(name) for name in SHADOWS if name != settings.policy}, budget, clock)
    engine = Engine(store, Cache(Ledger(policy(settings.policy), budget, clock), rivals))
    startup = Startup(settings.shard)
    return State(
        settings=settings,
        store=store,
        engine=engine,
        registry=registry_of(engine, startup, settings.shard),
        startup=startup,
        activity=Activity(clock),
        clock=clock,
        limiter=CapacityLimiter(settings.compute_threads),
        started=clock(),
    )


def create_app(state: State) -> Starlette:
    """Return the ASGI application of a shard."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [
            begin(state.open_store(), "store-opener"),
            begin(state.prefetch_when_quiet(), "prefetcher"),
        ]
        state.startup.reached(PROCESS)
        yield
        await end(*tasks)
        await state.save_working_set()
        state.store.close()

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(RequestLog)],
        exception_handlers=exception_handlers,
        lifespan=lifespan,
    )
    app.state.shard = state
    return app
