"""Workloads: described, run, run later."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import from_json, to_json
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.ids import JobId, job_id
from flstore_core.workloads import registry
from flstore_core.workloads.describe import describe_all, validate
from services.gateway.answers.execution import Outcome
from services.gateway.answers.question import NotModified, Options
from services.gateway.routes.access import PlainRoute, Reads, check_length, reads
from services.gateway.routes.schemas import Answer, answers, headers, problems
from services.gateway.state import State

plain = APIRouter(prefix="/v1", tags=["workloads"], route_class=PlainRoute)
router = APIRouter(prefix="/v1", tags=["workloads"])

MAX_PARAMETERS_BYTES = 2**20
MAX_KEY_LENGTH = 256
"""Longest Idempotency-Key, in characters."""


@router.get("/workloads", responses=problems())
async def list_workloads(state: Reads) -> JSONResponse:
    """List the workloads with their patterns and the JSON Schemas of their parameters and results."""
    return JSONResponse({"workloads": await state.workers.run(_descriptions)})


_HEADERS = headers(
    Prefer="`respond-async` answers 202 at once",
    Idempotency_Key="of a start by `respond-async`; the same key starts nothing twice",
    If_None_Match="an earlier answer's ETag",
    Cache_Control="`no-cache` has the answer worked out anew",
)
_RUN = answers(
    s202="started; Location says where to ask", s304="the answer is the one that the ETag stands for"
) | problems(404, 409, 411, 413, 422, 501, 507)


@plain.post("/jobs/{job}/workloads/{name}", response_model=Answer, responses=_RUN, openapi_extra=_HEADERS)
async def run_workload(request: Request, job: str, name: str) -> Response:
    """Run a workload; the body holds its parameters as a JSON object.

    Answers over committed rounds carry an ETag made of the inputs' hashes and the parameters.
    """
    named, state = job_id(job), await reads(request)
    check_length(request, MAX_PARAMETERS_BYTES)
    params = _parameters(await request.body())
    given = request.headers
    if "respond-async" in given.get("prefer", ""):
        return await state.workers.run(_start, state, named, name, params, _idempotency_key(given))
    options = Options(
        given.get("if-none-match", "").strip('" '), recompute="no-cache" in given.get("cache-control", "")
    )
    try:
        outcome = await state.workers.run(_run, state, named, name, params, options)
    except NotModified as same:
        return Response(status_code=304, headers={"ETag": f'"{same.etag}"'})
    told = {"Server-Timing": _server_timing(outcome)}
    if outcome.etag:
        told["ETag"] = f'"{outcome.etag}"'
    return Response(to_json(outcome.to_json()), headers=told, media_type="application/json")


@router.get("/operations/{operation}", responses=problems(404, 422))
async def read_operation(request: Request, operation: str, state: Reads) -> JSONResponse:
    """Read how long work stands, and its result once it is done."""
    found = await state.workers.run(state.operations.get, operation)
    state.tokens.check(request.headers.get("authorization", ""), found.job, write=False)
    return JSONResponse(asdict(found))


@router.delete("/operations/{operation}", status_code=202, responses=problems(404, 422))
async def cancel_operation(request: Request, operation: str, state: Reads) -> JSONResponse:
    """Ask for long work to be given up."""
    found = await state.workers.run(state.operations.get, operation)
    state.tokens.check(request.headers.get("authorization", ""), found.job, write=False)
    return JSONResponse(asdict(await state.workers.run(state.operations.cancel, operation)), 202)


def _run(state: State, job: JobId, name: str, params: Mapping[str, Any], options: Options) -> Outcome:
    try:
        outcome = state.runner.run(job, name, params, options)
    except FLStoreError as error:
        known = name if name in registry.names() else "unknown"
        state.metrics.workload_errors.labels(known, error.code).inc()
        raise
    timer = state.metrics.workload_seconds.labels(name, outcome.pattern.value, outcome.execution.where)
    timer.observe(outcome.execution.total_seconds)
    if outcome.execution.cost:
        state.metrics.count_cost(outcome.execution.cost)
    return outcome


def _start(state: State, job: JobId, name: str, params: Mapping[str, Any], idempotency_key: str | None) -> Response:
    """Start an operation, having checked what can be checked at once."""
    state.rounds.catalog.read_job(job)
    validate(registry.get(name), params)
    operation = state.operations.start(job, name, params, idempotency_key)
    headers = {"Location": f"/v1/operations/{operation.id}", "Preference-Applied": "respond-async"}
    return JSONResponse(asdict(operation), 202, headers)


@cache
def _descriptions() -> list[dict[str, Any]]:
    return [asdict(description) for description in describe_all()]


def _idempotency_key(given: Headers) -> str | None:
    key = given.get("idempotency-key", "")
    if len(key) > MAX_KEY_LENGTH:
        raise InvalidParameters(f"the Idempotency-Key has {len(key)} characters; use at most {MAX_KEY_LENGTH}")
    return key or None


def _parameters(body: bytes) -> Mapping[str, Any]:
    try:
        found = from_json(body or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise InvalidParameters("the body is not JSON; send the workload's parameters as an object") from error
    if not isinstance(found, dict):
        raise InvalidParameters("the body must be a JSON object of parameters")
    return found


def _server_timing(outcome: Outcome) -> str:
    return ", ".join(f"{name};dur={1e3 * seconds:.3f}" for name, seconds in outcome.execution.seconds.items())
