"""The shard as a function of its parts."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.middleware import Middleware

from flstore_core.cache import Cache, Ledger
from flstore_core.policies.registry import make_policy
from flstore_core.shard import Engine
from flstore_core.storage import ObjectStore
from services.common.logs import RequestLog
from services.common.problems import exception_handlers
from services.shard.activity import Activity
from services.shard.metrics import registry_of
from services.shard.routes import ROUTES
from services.shard.settings import Settings
from services.shard.state import State

logger = logging.getLogger(__name__)


def create_state(settings: Settings, store: ObjectStore, clock: Callable[[], float]) -> State:
    """Return the parts of a shard, wired together; `clock` gives seconds that never go back."""
    policy = make_policy(settings.policy, settings.cache_bytes, clock, random.Random(settings.shard))
    engine = Engine(store, Cache(Ledger(policy, settings.cache_bytes, clock)))
    return State(
        settings=settings,
        store=store,
        engine=engine,
        registry=registry_of(engine, settings.shard),
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
            asyncio.create_task(state.open_store(), name="store-opener"),
            asyncio.create_task(state.prefetch_when_quiet(), name="prefetcher"),
        ]
        for task in tasks:
            task.add_done_callback(_log_failure)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
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


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("task %s failed", task.get_name(), exc_info=error)
