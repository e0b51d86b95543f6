"""A baseline's application: those of FLStore's routes that load uses."""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import numpy as np
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flstore_core.errors import PROBLEM_TYPE, FLStoreError, InvalidParameters, LengthRequired
from flstore_core.ids import AGGREGATE, client_id, job_id
from flstore_core.records import Job
from flstore_core.schema import Schema
from flstore_core.workloads import registry
from flstore_core.workloads.describe import describe
from loadgen.baselines.service import Service, Upload

T = TypeVar("T")


def create_app(service: Service, threads: int) -> Starlette:
    """Return the ASGI application of a baseline, which handles up to `threads` requests at once."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.limiter = CapacityLimiter(threads)
        yield
        service.close()

    app = Starlette(
        routes=ROUTES, exception_handlers={FLStoreError: _problem, ClientDisconnect: _gone}, lifespan=lifespan
    )
    app.state.service = service
    return app


async def create_job(request: Request) -> Response:
    """Create a job."""
    body = _object(await request.body())
    schema = Schema.from_json(body.get("schema") or [])
    if body.get("updates", "weights") != "weights":
        raise InvalidParameters("this baseline takes models alone; leave updates out, and send weights")
    name, weight_key = job_id(request.path_params["job"]), body.get("weight_key")
    job = Job(name, schema, created_at=time.time(), weight_key=weight_key)
    stored, created = await _work(request, partial(_service(request).create_job, job))
    return JSONResponse(_shape(stored), 201 if created else 200)


async def read_job(request: Request) -> Response:
    """Read a job."""
    job = await _work(request, partial(_service(request).job, job_id(request.path_params["job"])))
    return JSONResponse(_shape(job))


async def put_model(request: Request) -> Response:
    """Store an update or aggregate."""
    name = request.path_params.get("client")
    client = AGGREGATE if name is None else client_id(name)
    metrics = _object(request.headers.get("x-flstore-metrics", "{}").encode())
    body = await _receive(request)
    upload = Upload(job_id(request.path_params["job"]), request.path_params["round"], client, body, metrics)
    member, created = await _work(request, partial(_service(request).put, upload))
    named = {"job": upload.job, "round": upload.round, "created": created}
    return JSONResponse({**member.to_json(), **named}, 201 if created else 200)


async def get_model(request: Request) -> Response:
    """Return the bytes of an update or aggregate."""
    name = request.path_params.get("client")
    client = AGGREGATE if name is None else client_id(name)
    job, number = job_id(request.path_params["job"]), request.path_params["round"]
    body = await _work(request, partial(_service(request).get, job, number, client))
    return Response(bytes(body), media_type="application/octet-stream")


async def commit(request: Request) -> Response:
    """Commit a round."""
    body = _object(await request.body() or b"{}")
    job, number = job_id(request.path_params["job"]), request.path_params["round"]
    committing = partial(
        _service(request).commit, job, number, body.get("metrics") or {}, body.get("hyperparameters") or {}
    )
    return JSONResponse((await _work(request, committing)).to_json())


async def run_workload(request: Request) -> Response:
    """Run a workload."""
    params = _object(await request.body() or b"{}")
    job, name = job_id(request.path_params["job"]), request.path_params["name"]
    return JSONResponse(await _work(request, partial(_service(request).run, job, name, params)))


async def list_workloads(request: Request) -> Response:
    """List the workloads."""
    descriptions = await _work(request, _descriptions)
    return JSONResponse({"workloads": descriptions})


async def caches(_: Request) -> Response:
    """Return the shards: there are none."""
    return JSONResponse({"gateway": {}, "shards": []})


async def healthz(_: Request) -> Response:
    """Answer the probes: a process that answers is alive and ready."""
    return JSONResponse({"status": "ok"})


_ROUND = "/v1/jobs/{job}/rounds/{round:int}"
ROUTES = [
    Route("/v1/jobs/{job}", create_job, methods=["PUT"]),
    Route("/v1/jobs/{job}", read_job),
    Route(_ROUND + "/clients/{client}", put_model, methods=["PUT"]),
    Route(_ROUND + "/aggregate", put_model, methods=["PUT"]),
    Route(_ROUND + "/clients/{client}", get_model),
    Route(_ROUND + "/aggregate", get_model),
    Route(_ROUND + "/commit", commit, methods=["POST"]),
    Route("/v1/jobs/{job}/workloads/{name}", run_workload, methods=["POST"]),
    Route("/v1/workloads", list_workloads),
    Route("/v1/cache", caches),
    Route("/healthz", healthz),
    Route("/readyz", healthz),
]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _work(request: Request, function: Callable[[], T]) -> T:
    return await to_thread.run_sync(function, limiter=request.app.state.limiter)


async def _receive(request: Request) -> memoryview:
    """Receive a body into one buffer."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise LengthRequired("send Content-Length")
    body, filled = memoryview(np.empty(int(length), np.uint8).data), 0
    async for chunk in request.stream():
        body[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    return body


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidParameters("the body is not JSON") from error
    if not isinstance(value, dict):
        raise InvalidParameters("the body must be a JSON object")
    return value


def _shape(job: Job) -> dict[str, Any]:
    return {**job.to_json(), "parameters": job.schema.parameters, "nbytes": job.schema.nbytes}


def _descriptions() -> list[dict[str, Any]]:
    return [asdict(describe(workload)) for _, workload in sorted(registry.load().items())]


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, FLStoreError)
    kind = {"type": PROBLEM_TYPE + error.code, "code": error.code}
    body = {**kind, "title": error.title, "status": error.status, "detail": error.detail}
    return JSONResponse(body, error.status, media_type="application/problem+json")


async def _gone(_: Request, error: Exception) -> Response:
    """Return a response that nobody reads: the client disconnected during its upload."""
    return Response(status_code=400)
