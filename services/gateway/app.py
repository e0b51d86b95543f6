"""The gateway as a function of its parts."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from flstore_core import __version__
from flstore_core.errors import FLStoreError, InvalidParameters, unknown
from services.common import tracing
from services.common.logs import RequestLog
from services.common.prefix import BelowPrefix
from services.common.problems import exception_handlers, from_error
from services.common.tasks import begin, end
from services.gateway.answers.operations import RENEW_S, Operations
from services.gateway.backends.placement import Placement
from services.gateway.manners import HeadAsGet
from services.gateway.metrics import Measure
from services.gateway.rounds.erase import Eraser
from services.gateway.rounds.index import UnknownJob
from services.gateway.routes import jobs, models, overviews, rounds, system, tables, workloads
from services.gateway.state import State

logger = logging.getLogger(__name__)

SWEEP_EVERY = 30
"""Renewals of running operations from one sweep to the next; a sweep looks for abandoned and expired operations."""

FINISH_EVERY_S = 60.0
"""Seconds between two looks for erasures that broke off. One that was there at the look before is finished."""

RETRY_S = 1.0
"""Seconds to pause before a controller that did not answer is asked again."""


def create_app(state: State) -> FastAPI:
    """Return the ASGI application of a gateway."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(state.backends.placement.load)
        tasks = [
            begin(follow(state.backends.placement), "placement-follower"),
            begin(keep(state.operations), "operations-keeper"),
            begin(finish(state.eraser), "erasures-finisher"),
        ]
        yield
        await end(*tasks)
        state.close()

    app = FastAPIOffline(  # FastAPI's own pages load their scripts from the internet, where hospitals have none
        title="FLStore",
        version=__version__,
        description="Stores the rounds of federated learning and answers workloads next to the data.",
        middleware=[
            *tracing.middleware(),
            Middleware(RequestLog),
            Middleware(Measure, metrics=state.metrics),
            Middleware(HeadAsGet),
            Middleware(BelowPrefix, prefix=state.settings.root_path),
        ],
        exception_handlers={**exception_handlers, RequestValidationError: _invalid, UnknownJob: _unknown_job},
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,  # operation ids are the endpoints' names
    )
    app.state.gateway = state
    for router in (
        workloads.plain,
        *(part.router for part in (workloads, rounds, tables, overviews, jobs, models, system)),
    ):
        app.include_router(router)
    return app


async def follow(placement: Placement) -> None:
    """Keep the placement table up to date for as long as the gateway lives."""
    while True:
        try:
            await to_thread.run_sync(placement.wait_for_news, abandon_on_cancel=True)
        except FLStoreError as error:
            logger.warning("placement controller does not answer", extra={"error": error.detail})
            await asyncio.sleep(RETRY_S)


async def keep(operations: Operations) -> None:
    """Renew this gateway's operations every `RENEW_S` seconds; every `SWEEP_EVERY` times, sweep all operations."""
    for turn in itertools.count():
        try:
            await to_thread.run_sync(operations.renew)
            if turn % SWEEP_EVERY == 0:
                await to_thread.run_sync(operations.sweep)
        except FLStoreError as error:
            logger.warning("operations not renewed", extra={"error": error.detail})
        await asyncio.sleep(RENEW_S)


async def finish(eraser: Eraser) -> None:
    """Every `FINISH_EVERY_S` seconds, go on with erasures that broke off."""
    while True:
        try:
            await to_thread.run_sync(eraser.go_on)
        except FLStoreError as error:
            logger.warning("erasures not looked at", extra={"error": error.detail})
        await asyncio.sleep(FINISH_EVERY_S)


async def _unknown_job(request: Request, error: UnknownJob) -> Response:
    """Answer with the nearest names of jobs that the caller may read."""
    state: State = request.app.state.gateway
    names = await state.workers.run(state.rounds.catalog.list_names)
    visible = state.tokens.visible(request.headers.get("authorization", ""), [str(name) for name in names])
    return from_error(request, unknown("job", error.job, visible))


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    """Answer a request whose path, header or body does not fit its description, and name each field that does not."""
    errors: list[dict[str, Any]] = [
        {"field": ".".join(str(part) for part in entry["loc"]), "message": entry["msg"]} for entry in error.errors()
    ]
    detail = "; ".join(f"{entry['field']}: {entry['message']}" for entry in errors)
    return from_error(request, InvalidParameters(detail, errors=errors))
