"""Endpoints of rounds: store updates and aggregates and return them; commit, list and read rounds."""

import asyncio
import json
from functools import partial
from operator import itemgetter
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import JSONResponse, Response

from flstore_core import layout
from flstore_core.errors import InvalidParameters, NotFound, PreconditionFailed, RoundCommitted, Unavailable
from flstore_core.ids import AGGREGATE, ClientId, JobId, client_id
from flstore_core.records import Job
from services.gateway.answers.pricing import COMMIT_PUTS, INGEST_PUTS, Pricing
from services.gateway.metrics import COMMITS, INGEST
from services.gateway.rounds.bases import base_name
from services.gateway.rounds.commit import CommitRequest
from services.gateway.rounds.ingest import Receipt
from services.gateway.rounds.upload import Upload
from services.gateway.routes.access import (
    ClientName,
    JobName,
    JsonRoute,
    Reads,
    ReadsAggregate,
    RoundNumber,
    StoresUpdate,
    Writes,
    require_ticket,
)
from services.gateway.routes.downloads import download, named_hashes, send
from services.gateway.routes.names import NamedResponse
from services.gateway.routes.schemas import (
    BINARY,
    DOWNLOAD,
    AggregateBody,
    Answer,
    CommitBody,
    IssuedTickets,
    NewTickets,
    Stored,
    answers,
    both,
    leads_to,
    problems,
)
from services.gateway.routes.uploads import upload
from services.gateway.state import State
from services.gateway.tickets import Verb

router = APIRouter(prefix="/v1/jobs/{job}", tags=["rounds"], route_class=JsonRoute)

Replace = Annotated[
    bool, Query(description="take the place of another update of the same client, as long as the round is open")
]
BaseName = Annotated[
    str | None,
    Query(
        description="the model that the round's deltas are taken against: an earlier round, whose aggregate it is, the "
        "SHA-256 of an aggregate, or `none`; all updates of a round share it. By default the aggregate of the newest "
        "earlier round that has one"
    ),
]
Early = Annotated[
    bool,
    Query(
        description="answer 202 once the model is made, while the store is being sent it. Whoever names its hash in "
        "If-Match can fetch it. Before the round is committed, ask again without `early`, which waits for the store"
    ),
]
AWAITED_PAUSES_S = (0.1, 0.2, 0.4, *[0.8] * 10)
"""Between looks for an aggregate that is not stored yet: about 9 seconds in all."""
MetricsHeader = Annotated[
    str, Header(alias="X-FLStore-Metrics", description="JSON object of the client's metrics, in UTF-8")
]


@router.put(
    "/rounds/{round}/clients/{client}",
    status_code=201,
    response_model=Stored,
    responses=both(
        answers(s200="this update was stored before, with these metrics"),
        leads_to(
            201,
            "get_update(job, round, client)",
            "put_update(job, round)",
            "read_round(job, round)",
            "commit(job, round)",
            "erase_client(job, client)",
            "run_workload(job)",
        ),
        problems(404, 408, 409, 411, 413, 422, 507),
    ),
    openapi_extra=BINARY,
)
async def put_update(
    request: Request,
    job: JobName,
    number: RoundNumber,
    client: ClientName,
    state: StoresUpdate,
    metrics: MetricsHeader = "{}",
    replace: Replace = False,
    base: BaseName = None,
) -> JSONResponse:
    """Store a client's update: safetensors in the job's schema."""
    return await _put(request, state, job, number, client, metrics, replace, base)


@router.put(
    "/rounds/{round}/aggregate",
    status_code=201,
    response_model=Stored,
    responses=both(
        answers(s200="this update was stored before, with these metrics"),
        leads_to(201, "get_aggregate(job, round)", "commit(job, round)"),
        problems(404, 408, 409, 411, 413, 422, 507),
    ),
    openapi_extra=BINARY,
)
async def put_aggregate(
    request: Request,
    job: JobName,
    number: RoundNumber,
    state: Writes,
    metrics: MetricsHeader = "{}",
    replace: Replace = False,
    base: BaseName = None,
) -> JSONResponse:
    """Store the model that a round ended with; the next round's deltas are taken against it."""
    return await _put(request, state, job, number, AGGREGATE, metrics, replace, base)


@router.post(
    "/rounds/{round}/aggregate",
    response_model=Answer,
    responses=both(
        {202: {"model": Answer, "description": "the model is made, and is being stored"}},
        leads_to(200, "get_aggregate(job, round)", "commit(job, round)", "issue_tickets(job, round)"),
        problems(404, 409, 411, 413, 422, 507),
    ),
)
async def make_aggregate(
    job: JobName,
    number: RoundNumber,
    state: Writes,
    body: AggregateBody | None = None,
    replace: Replace = False,
    early: Early = False,
) -> JSONResponse:
    """Make the round's aggregate out of its updates, next to the data, and store it as if it had been sent.

    The body holds the parameters of the workload `aggregate`, without the round. Repeating it changes nothing.
    """
    started = perf_counter()
    params = (body or AggregateBody()).model_dump(exclude_unset=True)
    aggregates, is_stored = state.aggregates, True
    if early:
        outcome, is_stored = await state.workers.run(
            lambda: aggregates.make_early(job, number, params, replace=replace)
        )
    else:
        outcome = await state.workers.run(lambda: aggregates.make(job, number, params, replace=replace))
    _count_cost(state, job, INGEST, started, INGEST_PUTS)
    return NamedResponse(outcome.to_json(), 200 if is_stored else 202)


@router.delete("/rounds/{round}/clients/{client}", status_code=204, responses=problems(404, 409, 422, 507))
async def drop_update(job: JobName, number: RoundNumber, client: ClientName, state: Writes) -> Response:
    """Take a client's update back, as long as the round is open. An audit record of it stays."""
    await state.workers.run(_drop, state, job, number, client)
    return Response(status_code=204)


@router.delete("/rounds/{round}/aggregate", status_code=204, responses=problems(404, 409, 422, 507))
async def drop_aggregate(job: JobName, number: RoundNumber, state: Writes) -> Response:
    """Take a round's aggregate back, as long as the round is open."""
    await state.workers.run(_drop, state, job, number, AGGREGATE)
    return Response(status_code=204)


@router.delete("/rounds/{round}", responses=problems(404, 409, 422, 507))
async def drop_round(job: JobName, number: RoundNumber, state: Writes) -> JSONResponse:
    """Take everything in an open round back: all updates and the aggregate. The round stays open."""
    record = await state.workers.run(_settle, state, job, number)
    dropped = await state.workers.run(state.withdrawals.drop_round, record, number)
    return NamedResponse({"job": job, "round": number, "dropped": [member.client for member in dropped]})


@router.post(
    "/rounds/{round}/commit",
    responses=both(
        leads_to(200, "read_round(job, round)", "run_workload(job)", "put_update(job, round)", "list_rounds(job)"),
        problems(404, 409, 411, 413, 422, 507),
    ),
)
async def commit(job: JobName, number: RoundNumber, state: Writes, body: CommitBody | None = None) -> JSONResponse:
    """Make a round immutable and store its statistics. Repeating a commit changes nothing and gets the same answer."""
    body = body or CommitBody(participants=None, allow_empty=False, base=None)
    base = None if body.base is None else base_name(str(body.base), number)
    request = CommitRequest(body.metrics, body.hyperparameters, body.participants, body.allow_empty, base)
    started = perf_counter()
    record = await state.workers.run(lambda: state.commit.commit(_settle(state, job, number), number, request))
    _count_cost(state, job, COMMITS, started, COMMIT_PUTS)
    state.chronicle.note_committed(job, number)
    state.metrics.rounds_committed.labels(job).inc()
    return NamedResponse(record.to_json())


@router.post("/rounds/{round}/tickets", response_model=IssuedTickets, responses=problems(404, 409, 411, 413, 422))
async def issue_tickets(job: JobName, number: RoundNumber, state: Writes, body: NewTickets) -> JSONResponse:
    """Issue tickets: each lets one client do one thing in this round, in the place of a token.

    A ticket is a bearer token. With `verb` `update` the client may store its update of the round, with `aggregate` read
    the round's aggregate. A ticket ends with its time, with its job, and with the key of the deployment's services.
    """
    return NamedResponse(await state.workers.run(_issue, state, job, number, body))


@router.get("/rounds", responses=problems(404, 422))
async def list_rounds(job: JobName, state: Reads) -> JSONResponse:
    """List a job's rounds; committed ones come with the number of their clients."""
    index = await state.workers.run(state.rounds.catalog.read_index, job)
    clients = index.clients_by_round()
    rows = [{"round": number, "committed": True, "clients": clients[number]} for number in index.committed]
    rows += [{"round": number, "committed": False} for number in index.open]
    return JSONResponse({"rounds": sorted(rows, key=itemgetter("round"))})


@router.get("/rounds/{round}", responses=problems(404, 422))
async def read_round(job: JobName, number: RoundNumber, state: Reads) -> JSONResponse:
    """Read a round's record. That of an open round lists the updates stored so far."""
    rounds = state.rounds
    record = await state.workers.run(lambda: rounds.openings.read_round(rounds.catalog.read_job(job), number))
    return NamedResponse(record.to_json())


@router.get("/rounds/{round}/clients/{client}", response_class=Response, responses=DOWNLOAD)
async def get_update(request: Request, job: JobName, number: RoundNumber, client: ClientName, state: Reads) -> Response:
    """Return the bytes that a client sent; ranges are served."""
    return await state.workers.run(_get, request, state, job, number, client)


@router.get("/rounds/{round}/aggregate", response_class=Response, responses=DOWNLOAD)
async def get_aggregate(request: Request, job: JobName, number: RoundNumber, state: ReadsAggregate) -> Response:
    """Return the bytes of a round's aggregate; ranges are served.

    One that If-Match names may have been made through another gateway, and not be stored yet. It is waited for while
    the round is open, up to some seconds.
    """
    pauses = iter(AWAITED_PAUSES_S)
    while True:
        try:
            return await state.workers.run(_get, request, state, job, number, AGGREGATE)
        except (NotFound, PreconditionFailed) as error:
            if named_hashes(request) is None or not await state.workers.run(_is_open, state, job, number):
                raise
            if (pause_s := next(pauses, None)) is None:
                raise Unavailable(f"{error.detail}; the round is open, so it may still come") from error
            await asyncio.sleep(pause_s)


async def _put(
    request: Request,
    state: State,
    job_name: JobId,
    number: int,
    client: ClientId,
    metrics: str,
    replace: bool,
    base: str | None,
) -> JSONResponse:
    named = None if base is None else base_name(base, number)
    job = await state.workers.run(state.rounds.catalog.read_job, job_name)
    require_ticket(request, job, replace=replace)
    values = _metrics(metrics)
    patience_s = state.settings.upload_patience_seconds
    async with upload(request, state.uploads, patience_s, state.workers.pool) as received:
        started = perf_counter()
        update = Upload(job, number, client, received.body, values, received.sha256, replace, named)
        try:
            receipt = await state.workers.run(state.ingest.put, update)
        finally:
            # Also after an error: slices may be on their way, and are views of the body.
            received.hold.keep_for(update.sends)
    _count_cost(state, job_name, INGEST, started, INGEST_PUTS)
    if receipt.created:
        state.metrics.ingested_bytes.labels(job_name).inc(receipt.member.nbytes)
    return NamedResponse(_stored(update, receipt), 201 if receipt.created else 200)


def _issue(state: State, job: JobId, number: int, wishes: NewTickets) -> dict[str, Any]:
    index = state.rounds.catalog.read_index(job)
    if wishes.verb is Verb.UPDATE and index.is_committed(number):
        raise RoundCommitted(f"round {number} of job {job!r} is committed; it takes no further updates")
    until = state.tickets.end_of(wishes.seconds)
    tickets = {
        name: state.tickets.issue(index.job, number, client_id(name), wishes.verb, until, replace=wishes.replace)
        for name in wishes.clients
    }
    return {"job": job, "round": number, "verb": wishes.verb, "until": until, "tickets": tickets}


def _drop(state: State, job: JobId, number: int, client: ClientId) -> None:
    state.withdrawals.drop_update(_settle(state, job, number), number, client)


def _settle(state: State, name: JobId, number: int) -> Job:
    """Return a job, once the store has the round's aggregate, if clients of this gateway have it already."""
    job = state.rounds.catalog.read_job(name)
    state.early_models.wait(job.home, number)
    return job


def _count_cost(state: State, job: JobId, kind: str, started: float, puts: int) -> None:
    bill = Pricing(state.backends.placement).price_ingest(perf_counter() - started, puts)
    state.metrics.cost_dollars.labels(kind).inc(bill.total)
    state.chronicle.note_cost(job, kind, bill)


def _stored(update: Upload, receipt: Receipt) -> dict[str, Any]:
    """Return what the caller is told; `update` has the hash of what came."""
    member, job = receipt.member, update.job
    stored: dict[str, Any] = {"job": job.id, "round": update.round, "client": member.client}
    stored |= {"sha256": member.sha256, "nbytes": member.nbytes, "parameters": job.schema.parameters}
    rewritten = {"rewritten": member.sha256 != update.sha256, "received_sha256": update.sha256}
    return {**stored, "created": receipt.created, **rewritten}


def _get(request: Request, state: State, name: JobId, number: int, client: ClientId) -> Response:
    job = state.rounds.catalog.read_job(name)
    require_ticket(request, job)
    if client == AGGREGATE and (early := state.early_models.find(job.home, number, named_hashes(request) or ())):
        return send(request, early.body, early.sha256, early.due.set)
    member = state.rounds.openings.read_model(job, number, client)
    key = layout.tensors(job.home, number, client, member.upload)
    find = partial(state.newest.get, job.home, key) if client == AGGREGATE else None
    return download(request, state.rounds.store, key, member.nbytes, member.sha256, find=find)


def _is_open(state: State, name: JobId, number: int) -> bool:
    catalog = state.rounds.catalog
    return number in catalog.read_index(name).open or number in catalog.refresh(name).open


def _metrics(text: str) -> dict[str, Any]:
    try:
        metrics = json.loads(text.encode("latin-1").decode())  # Starlette reads headers as Latin-1; this one is UTF-8
    except UnicodeDecodeError as error:
        raise InvalidParameters("X-FLStore-Metrics is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise InvalidParameters("X-FLStore-Metrics is not JSON") from error
    if not isinstance(metrics, dict):
        raise InvalidParameters("X-FLStore-Metrics must be a JSON object")
    return metrics
