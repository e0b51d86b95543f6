"""A predictor's own endpoints, for gateways and the placement controller. KServe's stand in `kserving`."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flstore_core.ids import client_id, job_id
from flstore_core.models.protocol import RUN, RunRequest
from flstore_core.shard.protocol import ASSIGNMENT, CLIENT, EXPLAIN, INVENTORY, JOB, parse_key
from services.predictor.bodies import parse_json
from services.predictor.following import follow
from services.predictor.metrics import render
from services.predictor.state import State


async def run(request: Request) -> Response:
    """Run a workload over models."""
    message = RunRequest.from_json(parse_json(await request.body()))
    return await follow(request, _state(request), message)


async def assign(request: Request) -> Response:
    """Accept a new placement table and do nothing: a predictor owns no slices, and so drops none."""
    await request.body()
    return JSONResponse({"dropped": 0})


async def forget_job(request: Request) -> Response:
    """Drop a deleted job."""
    state, job = _state(request), job_id(request.path_params["job"])
    state.versions.forget(job)
    return JSONResponse({"dropped": state.engine.forget_job(job)})


async def forget_client(request: Request) -> Response:
    """Drop an erased client."""
    job, client = job_id(request.path_params["job"]), client_id(request.path_params["client"])
    return JSONResponse({"dropped": _state(request).engine.forget_client(job, client)})


async def inventory(request: Request) -> Response:
    """Return what the predictor holds, and how often requests found it there."""
    state = _state(request)
    itself = {"shard": state.settings.predictor, "awake_s": state.activity.awake_seconds}
    return JSONResponse({**itself, **state.engine.inventory()})


async def explain(request: Request) -> Response:
    """Return why a key, `job/round/client`, is cached or is not."""
    key = parse_key(request.query_params.get("key", ""))
    # A whole model is cached as slice 0, whatever slice the key names.
    return JSONResponse(_state(request).engine.explain(key._replace(slice=0)))


async def healthz(_: Request) -> Response:
    """Alive: the process answers."""
    return JSONResponse({"status": "ok"})


async def metrics(request: Request) -> Response:
    """Prometheus metrics: KServe's, and those of the cache."""
    return Response(render(_state(request)), media_type=CONTENT_TYPE_LATEST)


ROUTES = [
    Route(RUN, run, methods=["POST"]),
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
    state: State = request.app.state.predictor
    return state
