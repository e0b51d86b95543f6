"""Endpoints of workloads: describe them, run them at once, or start them as operations and ask about these later."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import from_json, to_json
from starlette.responses import JSONResponse, Response

from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.ids import JobId, job_id
from flstore_core.workloads import registry
from flstore_core.workloads.describe import describe_all, validate
from services.gateway.answers.execution import Outcome
from services.gateway.answers.operation_records import Operation
from services.gateway.answers.question import NotModified, Options
from services.gateway.routes.access import Name, PlainRoute, Reads, read_body, reads
from services.gateway.routes.names import NamedResponse, show
from services.gateway.routes.schemas import PARAMETERS, Answer, answers, both, headers, leads_to, problems
from services.gateway.state import State

plain = APIRouter(prefix="/v1", tags=["workloads"], route_class=PlainRoute)
router = APIRouter(prefix="/v1", tags=["workloads"])

MAX_PARAMETERS_BYTES = 2**20
"""Longest JSON of a workload's parameters."""
MAX_KEY_LENGTH = 256
"""Longest Idempotency-Key, in characters."""


@router.get("/workloads", responses=problems())
async def list_workloads(state: Reads) -> JSONResponse:
    """List the workloads with their patterns and the JSON Schemas of their parameters and results."""
    return JSONResponse({"workloads": await state.workers.run(_descriptions)})


_HEADERS = headers(
    Prefer="`respond-async` starts an operation and answers 202 at once",
    Idempotency_Key="with `respond-async`: the same key starts no second operation",
    If_None_Match="ETag of an earlier answer; if the answer is still the same, the status is 304",
    Cache_Control="`no-cache` has the answer computed anew",
)
_RUN = both(
    answers(
        s202="an operation was started; Location says where to ask about it", s304="the caller has this very answer"
    ),
    leads_to(202, "read_operation(operation)", "cancel_operation(operation)", operation="$response.body#/id"),
    problems(404, 409, 411, 413, 422, 501, 507),
)


@plain.post("/jobs/{job}/workloads/{name}", response_model=Answer, responses=_RUN, openapi_extra=_HEADERS | PARAMETERS)
async def run_workload(request: Request, job: Name, name: Name) -> Response:
    """Run a workload. The body holds its parameters as a JSON object.

    An answer over committed rounds has an ETag, a hash of the parameters and of all that was read.
    """
    state, job_name = await reads(request), job_id(job)
    params = _parameters(await read_body(request, MAX_PARAMETERS_BYTES))
    if "respond-async" in request.headers.get("prefer", ""):
        key, read_only = _idempotency_key(request), not _may_write(request, state, job)
        caller = state.tokens.caller(request.headers.get("authorization", ""))
        operation = await state.workers.run(
            lambda: _start(state, job_name, name, params, key, caller=caller, read_only=read_only)
        )
        location = f"{request.scope['root_path']}/v1/operations/{operation.id}"
        return NamedResponse(operation.describe(), 202, {"Location": location, "Preference-Applied": "respond-async"})
    try:
        outcome = await state.workers.run(_run, state, job_name, name, params, _options(request, state, job))
    except NotModified as same:
        return Response(status_code=304, headers={"ETag": f'"{same.etag}"'})
    headers = {"Server-Timing": _server_timing(outcome)}
    if outcome.etag:
        headers["ETag"] = f'"{outcome.etag}"'
    return Response(show(to_json(outcome.to_json())), headers=headers, media_type="application/json")


@router.get("/operations/{operation}", responses=problems(404, 422))
async def read_operation(request: Request, operation: str, state: Reads) -> JSONResponse:
    """Read an operation: its progress, and its result once the work is done."""
    return NamedResponse((await _find_operation(request, state, operation)).describe())


@router.delete("/operations/{operation}", status_code=202, responses=problems(404, 422))
async def cancel_operation(request: Request, operation: str, state: Reads) -> JSONResponse:
    """Cancel an operation: its work ends at its next step. A finished operation stays as it is."""
    await _find_operation(request, state, operation)
    return NamedResponse((await state.workers.run(state.operations.cancel, operation)).describe(), 202)


async def _find_operation(request: Request, state: State, name: str) -> Operation:
    """Return an operation; raise `Forbidden` unless the caller may read its job."""
    operation = await state.workers.run(state.operations.find_or_take_over, name)
    state.tokens.check(request.headers.get("authorization", ""), operation.job, write=False)
    return operation


def _run(state: State, job: JobId, name: str, params: Mapping[str, Any], options: Options) -> Outcome:
    try:
        outcome = state.runner.run(job, name, params, options)
    except FLStoreError as error:
        label = name if name in registry.names() else "unknown"
        state.metrics.workload_errors.labels(label, error.code).inc()
        raise
    timer = state.metrics.workload_seconds.labels(name, outcome.pattern.value, outcome.execution.where)
    timer.observe(outcome.execution.total_seconds)
    if outcome.execution.cost:
        state.metrics.count_cost(outcome.execution.cost)
    state.chronicle.note_answer(outcome)
    return outcome


def _start(
    state: State,
    job: JobId,
    name: str,
    params: Mapping[str, Any],
    idempotency_key: str | None,
    *,
    caller: str,
    read_only: bool,
) -> Operation:
    """Start an operation."""
    # Job, workload and parameters are checked first, so that a mistake is answered now and not found in a failed
    # operation later.
    generation = state.rounds.catalog.read_job(job).generation
    validate(registry.get(name), params)
    return state.operations.start(
        job, name, params, idempotency_key, caller=caller, read_only=read_only, generation=generation
    )


@cache
def _descriptions() -> list[dict[str, Any]]:
    return [asdict(description) for description in describe_all()]


def _may_write(request: Request, state: State, job: str) -> bool:
    return state.tokens.may_write(request.headers.get("authorization", ""), job)


def _options(request: Request, state: State, job: str) -> Options:
    known_etag = request.headers.get("if-none-match", "").strip('" ')
    recompute = "no-cache" in request.headers.get("cache-control", "")
    return Options(known_etag, recompute, may_write=_may_write(request, state, job))


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key", "")
    if len(key) > MAX_KEY_LENGTH:
        raise InvalidParameters(f"the Idempotency-Key has {len(key)} characters; use at most {MAX_KEY_LENGTH}")
    return key or None


def _parameters(body: bytes) -> Mapping[str, Any]:
    try:
        parameters = from_json(body or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise InvalidParameters("the body is not JSON; send the workload's parameters as an object") from error
    if not isinstance(parameters, dict):
        raise InvalidParameters("the body must be a JSON object of parameters")
    return parameters


def _server_timing(outcome: Outcome) -> str:
    return ", ".join(f"{name};dur={1e3 * seconds:.3f}" for name, seconds in outcome.execution.seconds.items())
