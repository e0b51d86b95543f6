"""A shard's endpoints. Each parses a message, makes one call of the engine, and shapes the reply."""

import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from anyio import to_thread
from numpy.typing import NDArray
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from flstore_core import buffers
from flstore_core.errors import InvalidParameters
from flstore_core.ids import client_id, job_id
from flstore_core.shard.protocol import (
    ASSIGNMENT,
    CLIENT,
    COMMITS,
    EXPLAIN,
    INVENTORY,
    JOB,
    MAP,
    MESSAGE_HEADER,
    SLICES,
    STATISTICS,
    Answer,
    AssignmentMessage,
    CommitMessage,
    MapRequest,
    StatisticsRequest,
    UploadMessage,
    parse_key,
)
from services.shard.state import State


async def put_slice(request: Request) -> Response:
    """Receive one packed slice of an upload."""
    state = _state(request)
    message = UploadMessage.from_json(_json(request.headers.get(MESSAGE_HEADER, "")))
    part, member, base = message.part, message.member, message.base
    with state.activity.request():
        data = await _body(request, await to_thread.run_sync(state.engine.expected_nbytes, part))
        admitted = await to_thread.run_sync(state.engine.put, part, member, base, data, limiter=state.limiter)
    return JSONResponse({"admitted": admitted})


async def statistics(request: Request) -> Response:
    """Return a slice's part of a round's statistics."""
    state = _state(request)
    message = StatisticsRequest.from_json(_json(await request.body()))
    with state.activity.request():
        answer = await to_thread.run_sync(state.engine.statistics, message, limiter=state.limiter)
    return _reply(answer)


async def run_map(request: Request) -> Response:
    """Run a workload's `map` over a slice."""
    state = _state(request)
    message = MapRequest.from_json(_json(await request.body()))
    with state.activity.request():
        answer, prefetches = await to_thread.run_sync(state.engine.map, message, limiter=state.limiter)
    state.prefetcher.add(message.part, prefetches)
    return _reply(answer)


async def commit(request: Request) -> Response:
    """Tell the policy that a round is committed, and queue what it wants prefetched."""
    state = _state(request)
    message = CommitMessage.from_json(_json(await request.body()))
    with state.activity.request():
        state.prefetcher.add(message.part, state.engine.commit(message.part, message.round))
    return Response(status_code=204)


async def assign(request: Request) -> Response:
    """Drop the slices that the placement table gives to other shards."""
    message = AssignmentMessage.from_json(_json(await request.body()))
    dropped = await to_thread.run_sync(_state(request).engine.keep_only, message.owned)
    return JSONResponse({"dropped": dropped})


async def forget_job(request: Request) -> Response:
    """Drop a deleted job."""
    dropped = _state(request).engine.forget_job(job_id(request.path_params["job"]))
    return JSONResponse({"dropped": dropped})


async def forget_client(request: Request) -> Response:
    """Drop an erased client."""
    job, client = job_id(request.path_params["job"]), client_id(request.path_params["client"])
    return JSONResponse({"dropped": _state(request).engine.forget_client(job, client)})


async def inventory(request: Request) -> Response:
    """Return what the shard holds, and how often requests found it there."""
    state = _state(request)
    itself = {
        "shard": state.settings.shard,
        "awake_s": state.activity.awake_seconds,
        "prefetches_due": state.prefetcher.due,
    }
    return JSONResponse({**itself, **state.engine.inventory()})


async def explain(request: Request) -> Response:
    """Return why a key, `job/round/client/slice`, is cached or is not."""
    return JSONResponse(_state(request).engine.explain(parse_key(request.query_params.get("key", ""))))


async def healthz(_: Request) -> Response:
    """Alive: the process answers."""
    return JSONResponse({"status": "ok"})


async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    return Response(generate_latest(_state(request).registry), media_type=CONTENT_TYPE_LATEST)


ROUTES = [
    Route(SLICES, put_slice, methods=["PUT"]),
    Route(STATISTICS, statistics, methods=["POST"]),
    Route(MAP, run_map, methods=["POST"]),
    Route(COMMITS, commit, methods=["POST"]),
    Route(ASSIGNMENT, assign, methods=["POST"]),
    Route(JOB, forget_job, methods=["DELETE"]),
    Route(CLIENT, forget_client, methods=["DELETE"]),
    Route(INVENTORY, inventory),
    Route(EXPLAIN, explain),
    Route("/healthz", healthz),
    Route("/readyz", healthz),
    Route("/metrics", metrics),
]


def _state(request: Request) -> State:
    state: State = request.app.state.shard
    return state


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidParameters("the message is not JSON") from error


async def _body(request: Request, nbytes: int) -> NDArray[np.uint8]:
    """Receive a body of exactly `nbytes` into memory of its own."""
    data: NDArray[np.uint8] = buffers.empty(nbytes, np.uint8)
    view, received = data.data, 0
    async for chunk in request.stream():
        if received + len(chunk) > nbytes:
            raise InvalidParameters(f"the slice is longer than the {nbytes} bytes expected")
        view[received : received + len(chunk)] = chunk
        received += len(chunk)
    if received != nbytes:
        raise InvalidParameters(f"the slice has {received} bytes; expected {nbytes}")
    return data


def _reply(answer: Answer) -> Response:
    headers = answer.headers
    media_type = "application/octet-stream"
    if isinstance(answer.body, bytes):
        return Response(answer.body, headers=headers, media_type=media_type)
    headers["content-length"] = str(sum(part.nbytes for part in answer.body))
    return StreamingResponse(_pieces(answer.body), headers=headers, media_type=media_type)


async def _pieces(parts: list[memoryview]) -> AsyncIterator[memoryview]:
    """Yield the parts in pieces of up to 1 MiB, so that a slow reader holds up no more than that in buffers."""
    for part in parts:
        for start in range(0, part.nbytes, 2**20):
            yield part[start : start + 2**20]
