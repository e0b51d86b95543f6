"""The controller's endpoints. Each parses a request, makes one call, and shapes the reply."""

import math

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flstore_core.errors import InvalidParameters, Unavailable
from flstore_core.ids import job_id
from services.placement.state import State

MAX_WAIT_S = 60.0
"""Longest wait that a caller may ask for, in seconds."""
MAX_VERSION = 2.0**53
"""Largest version that a caller may name; a float holds whole numbers exactly up to here."""


async def placement(request: Request) -> Response:
    """Return the table. With `after`, wait up to `wait` seconds for a newer version; answer 304 if there is none."""
    board = _state(request).board
    after = _parse_query(request, "after", -1, MAX_VERSION)
    table = await board.wait_for_newer(int(after), _parse_query(request, "wait", 0.0, MAX_WAIT_S))
    return JSONResponse(table.to_json()) if table else Response(status_code=304)


async def place(request: Request) -> Response:
    """Place the job and return the table that says where."""
    table = await _state(request).controller.place(job_id(request.path_params["job"]))
    return JSONResponse(table.to_json())


async def forget(request: Request) -> Response:
    """Remove the job from the table."""
    await _state(request).controller.forget(job_id(request.path_params["job"]))
    return Response(status_code=204)


async def shards(request: Request) -> Response:
    """Return the state of every backend. Asking wakes none of them."""
    return JSONResponse([state.to_json() for state in await _state(request).runtime.observe()])


async def healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Ready: this controller has published a table, or knows which other controller leads."""
    state = _state(request)
    stands_by = state.leadership is not None and not state.leadership.leading and state.leadership.leader_address
    if not stands_by and not state.controller.ready:
        raise Unavailable("no placement table has been published yet; the object store may be unreachable")
    return JSONResponse({"status": "ok"})


async def metrics(request: Request) -> Response:
    state = _state(request)
    text = state.metrics.render(await state.runtime.observe())
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


ROUTES = [
    Route("/v1/placement", placement),
    Route("/v1/placement/jobs/{job}", place, methods=["POST"]),
    Route("/v1/placement/jobs/{job}", forget, methods=["DELETE"]),
    Route("/v1/shards", shards),
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/metrics", metrics),
]


def _state(request: Request) -> State:
    state: State = request.app.state.placement
    return state


def _parse_query(request: Request, name: str, default: float, most: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise InvalidParameters(f"{name} is {text[:40]!r}; use a number from 0 to {most:g}")
    return value
