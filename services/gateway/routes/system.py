"""The system itself: placement, caches, health, metrics."""

from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.ids import job_id
from services.gateway.bodies import problems
from services.gateway.routes.access import Reads
from services.gateway.state import State, state_of

router = APIRouter(tags=["system"])

AWAKE = "awake"


@router.get("/v1/placement", responses=problems())
async def placement(state: Reads) -> JSONResponse:
    """Tell which shards hold which slices."""
    return JSONResponse(state.placement.table.to_json())


@router.get("/v1/cache", responses=problems(503))
async def caches(state: Reads) -> JSONResponse:
    """Tell what is cached where and how well it serves. Wakes no shard."""
    return JSONResponse(await state.work(_caches, state))


@router.get("/v1/cache/explain", responses=problems(422, 503))
async def explain(key: str, state: Reads) -> JSONResponse:
    """Tell since when and why a key, `job/round/client` or `job/round/client/slice`, is cached or is not."""
    return JSONResponse(await state.work(_explain, state, key))


@router.get("/healthz", include_in_schema=False)
async def healthz() -> JSONResponse:
    """Alive: the process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", include_in_schema=False)
async def readyz(request: Request) -> JSONResponse:
    """Ready: a placement table is known. The store being away does not count: hot reads go on without it."""
    ready = state_of(request).placement.table.version > 0
    return JSONResponse({"status": "ready" if ready else "waiting for a placement table"}, 200 if ready else 503)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    state = state_of(request)
    state.metrics.in_flight_bytes.set(state.uploads.used)
    state.metrics.table_version.set(state.placement.table.version)
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _caches(state: State) -> dict[str, Any]:
    shards = [_with_inventory(state, shard) for shard in state.placement.shards()]
    return {"gateway": state.rounds.cache.snapshot(), "shards": shards}


def _with_inventory(state: State, shard: dict[str, Any]) -> dict[str, Any]:
    if shard["state"] != AWAKE:
        return shard
    try:
        return {**shard, "inventory": state.shards.inventory(shard["url"])}
    except FLStoreError:
        return shard


def _explain(state: State, key: str) -> dict[str, Any]:
    job, _, rest = key.partition("/")
    parts = rest.split("/")
    index = int(parts[2]) if len(parts) == 3 and parts[2].isdecimal() else 0
    assignment = state.placement.of(state.catalog.job(job_id(job)).id)
    if index >= assignment.slices:
        raise InvalidParameters(f"slice {index} does not exist; job {job!r} has {assignment.slices}")
    states = {shard["shard"]: shard for shard in state.placement.shards()}
    found = []
    for owner in assignment.owners[index]:
        shard = states[owner]
        if shard["state"] == AWAKE:
            told = state.shards.explain(shard["url"], key)
        else:
            told = {"cached": False, "since": None, "why": "the shard is at zero", "pinned": False}
        found.append({"shard": owner, **told})
    return {"key": key, "shards": found}
