"""Endpoints about the system itself: placement, caches, health and metrics."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from flstore_core import __version__
from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.ids import JobId, decode, job_id
from flstore_core.shard.protocol import parse_key
from services.gateway.chronicle import MOST_EVENTS, WOKE, Reaches
from services.gateway.routes.access import Reads
from services.gateway.routes.schemas import answers, problems
from services.gateway.state import State, state_of

router = APIRouter(tags=["system"])

AWAKE = "awake"
GATEWAY_HOLDS = "records and statistics of rounds, under a fixed policy; FLSTORE_POLICY is the shards' and predictors'"
"""Said beside the gateway's cache, whose policy may look like a setting that failed."""
"""State of a backend that has a process, so that asking it does not start one."""


@router.get("/", include_in_schema=False)
@router.get("/ui", include_in_schema=False)
async def index(request: Request) -> Response:
    """Lead a browser to the console, or else to the API's description; tell a program where that is."""
    root = request.scope["root_path"]
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(_console(request) or f"{root}/docs")
    return JSONResponse({"name": "FLStore", "version": __version__, "docs": f"{root}/docs", "api": f"{root}/v1"})


@router.get("/v1/placement", responses=problems())
async def placement(request: Request, state: Reads) -> JSONResponse:
    """Return which shards hold which slices of the jobs that the caller may read."""
    table = state.backends.placement.table.to_json()
    return JSONResponse({**table, "jobs": _visible(request, state, table["jobs"])})


@router.get("/v1/cache", responses=problems())
async def caches(request: Request, state: Reads) -> JSONResponse:
    """Return what is cached where, and how often requests find it there. Wakes no shard.

    `gateway` is its own cache of rounds' records and statistics; `shards` are the backends, each with its `inventory`.
    """
    snapshot = await state.workers.run(_caches, state)
    for shard in snapshot["shards"]:
        if inventory := shard.get("inventory"):
            inventory["jobs"] = _visible(request, state, inventory["jobs"])
    return JSONResponse(snapshot)


@router.get("/v1/cache/explain", responses=problems(404, 422))
async def explain(request: Request, key: str, state: Reads) -> JSONResponse:
    """Return since when and why a key is cached or is not: `job/round/client` or `job/round/client/slice`."""
    state.tokens.check(request.headers.get("authorization", ""), key.partition("/")[0], write=False)
    return JSONResponse(await state.workers.run(_explain, state, key))


@router.get("/v1/cost", responses=problems(422))
async def cost(
    request: Request, state: Reads, job: Annotated[str | None, Query(description="one job's alone")] = None
) -> JSONResponse:
    """Return what requests cost here and would have cost at both baselines, by day and kind.

    They are those that this gateway answered since its start, in the jobs that the caller may read. A kind is a
    workload's name, `ingest` or `commits`; of the last two the baselines have no counterpart.
    """
    chosen = job_id(job) if job is not None else None
    return JSONResponse({"since": state.chronicle.since, "days": state.chronicle.costs(_reach(request, state), chosen)})


@router.get("/v1/events", responses=problems(422))
async def events(
    request: Request, state: Reads, limit: Annotated[int, Query(ge=1, le=MOST_EVENTS, description="most events")] = 50
) -> JSONResponse:
    """Return what happened lately, the newest first. Wakes no shard.

    `committed`: a round was; `accused`: an answer to `malicious-filter` names `clients`; both as this gateway saw them
    since its start. `woke`: a shard or predictor was started, for a `reason`.
    """
    woke = await state.workers.run(_starts, state)
    happened = [*state.chronicle.events(_reach(request, state)), *woke]
    newest = sorted(happened, key=lambda event: float(event["at"]), reverse=True)[:limit]
    return JSONResponse({"since": state.chronicle.since, "events": newest})


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """Alive: the process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses=answers(s503="the gateway has no placement table yet"))
async def readyz(request: Request) -> JSONResponse:
    """Ready: the gateway has a placement table. It need not reach the store: hot reads go on without it."""
    ready = state_of(request).backends.placement.table.version > 0
    return JSONResponse({"status": "ready" if ready else "waiting for a placement table"}, 200 if ready else 503)


@router.get("/metrics", response_class=PlainTextResponse, responses=problems())
async def metrics(request: Request) -> Response:
    """Prometheus metrics. They name jobs: where there are tokens, one for metrics or for all jobs is needed."""
    state = state_of(request)
    state.tokens.check_metrics(request.headers.get("authorization", ""))
    state.metrics.in_flight_bytes.set(state.uploads.used)
    state.metrics.table_version.set(state.backends.placement.table.version)
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _reach(request: Request, state: State) -> Reaches:
    """Return what tells which jobs the caller may read."""
    return partial(state.tokens.visible, request.headers.get("authorization", ""))


def _starts(state: State) -> list[dict[str, Any]]:
    """Return the newest starts of backends as events; none if the controller does not answer."""
    try:
        rows = state.backends.placement.fetch_backends()
    except FLStoreError:
        return []
    starts = [(row["shard"], start) for row in rows for start in row.get("recent_starts", ())]
    return [
        {"at": start["at"], "kind": WOKE, "shard": shard, "reason": start["reason"], "seconds": start["seconds"]}
        for shard, start in starts
        if start["at"] is not None
    ]


def _console(request: Request) -> str:
    """Return where a browser finds the console; empty if there is none."""
    url = state_of(request).settings.console_url
    if url.startswith(":"):
        return str(request.url.replace(port=int(url[1:]), path="/", query=""))
    return url and f"{url}/"


def _visible(request: Request, state: State, by_job: Mapping[str, Any]) -> dict[str, Any]:
    """Return what belongs to jobs that the caller's token reaches, by the names that they were given."""
    visible = state.tokens.visible(request.headers.get("authorization", ""), list(by_job))
    return {decode(job): by_job[job] for job in visible}


def _caches(state: State) -> dict[str, Any]:
    # The slices first: one that has arrived by now is in its shard's inventory, with the prefetches that it caused.
    held = state.rounds.records.cache.snapshot()
    gateway = {"holds": GATEWAY_HOLDS, **held, "slices_due": state.backends.outbox.due}
    shards = [_with_inventory(state, shard) for shard in state.backends.placement.fetch_backends()]
    return {"gateway": gateway, "shards": shards}


def _with_inventory(state: State, shard: dict[str, Any]) -> dict[str, Any]:
    if shard["state"] != AWAKE:
        return shard
    try:
        return {**shard, "inventory": state.backends.caches.inventory(_direct_url(shard))}
    except FLStoreError:
        return shard


def _direct_url(shard: dict[str, Any]) -> str:
    """Return the address at which asking a shard neither wakes it nor keeps it awake."""
    return str(shard.get("direct_url") or shard["url"])


def _explain(state: State, key: str) -> dict[str, Any]:
    parsed = parse_key(key)
    assignment = state.backends.placement.find_or_place(state.rounds.catalog.read_job(JobId(parsed.job)).id)
    if parsed.slice >= assignment.slices:
        raise InvalidParameters(
            f"slice {parsed.slice} does not exist; job {parsed.job!r} has {assignment.slices}, counted from 0"
        )
    backends = {row["shard"]: row for row in state.backends.placement.fetch_backends()}
    owners = assignment.owners[parsed.slice]
    return {"key": key, "shards": [{"shard": owner, **_why(state, backends.get(owner), key)} for owner in owners]}


def _why(state: State, shard: dict[str, Any] | None, key: str) -> dict[str, Any]:
    """Return why a shard has a key or does not. Does not wake the shard."""
    if shard is None or shard["state"] != AWAKE:
        return {"cached": False, "since": None, "why": "the shard is at zero", "pinned": False}
    return state.backends.caches.explain(_direct_url(shard), key)
