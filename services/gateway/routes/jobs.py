"""Endpoints of jobs: create, list, read and delete them, and erase clients from them."""

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from flstore_core.ids import ClientId, JobId, decode
from flstore_core.records import Job, Updates
from flstore_core.schema import Schema
from services.gateway.rounds.erase import Erasure
from services.gateway.rounds.index import JobIndex
from services.gateway.routes.access import ClientName, JobName, JsonRoute, Reads, Writes
from services.gateway.routes.names import NamedResponse
from services.gateway.routes.schemas import NewJob, answers, both, leads_to, problems
from services.gateway.state import State

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=JsonRoute)


@router.put(
    "/{job}",
    status_code=201,
    responses=both(
        answers(s200="this very job existed before"),
        leads_to(
            201,
            "read_job(job)",
            "put_update(job)",
            "put_aggregate(job)",
            "commit(job)",
            "list_rounds(job)",
            "run_workload(job)",
            "put_dataset(job)",
            "list_datasets(job)",
            "delete_job(job)",
        ),
        problems(409, 411, 413, 422, 507),
    ),
)
async def create_job(job: JobName, body: NewJob, state: Writes) -> JSONResponse:
    """Create a job. Creating the same job again answers 200; another job under a name in use answers 409."""
    record = Job(
        job,
        Schema.from_json([tensor.model_dump() for tensor in body.tensors]),
        body.statistics,
        body.clients_per_round,
        body.hot_rounds,
        body.replicas,
        body.slices,
        updates=body.updates or Updates.WEIGHTS,
        updates_stated=body.updates is not None,
        weight_key=body.weight_key,
    )
    index, created = await state.workers.run(state.jobs.create, record)
    return JSONResponse(_shape(state, index), 201 if created else 200)


@router.get("", responses=problems())
async def list_jobs(request: Request, state: Reads) -> JSONResponse:
    """List the jobs that the caller may read."""
    names = await state.workers.run(state.rounds.catalog.list_names)
    visible = state.tokens.visible(request.headers.get("authorization", ""), [str(name) for name in names])
    indices = await state.workers.run(state.rounds.catalog.read_indices, [JobId(name) for name in visible])
    return JSONResponse({"jobs": [_counts(index) for index in indices]})


@router.get("/{job}", responses=problems(404, 422))
async def read_job(job: JobName, state: Reads) -> JSONResponse:
    """Read a job: its schema and settings, how many rounds it has, and where its slices are."""
    index = await state.workers.run(state.rounds.catalog.read_index, job)
    return JSONResponse(_shape(state, index))


@router.delete("/{job}", status_code=204, responses=problems(404, 422))
async def delete_job(job: JobName, state: Writes) -> Response:
    """Delete a job and everything it stored."""
    await state.workers.run(state.jobs.delete, job)
    return Response(status_code=204)


@router.delete("/{job}/clients/{client}", responses=problems(404, 422, 507))
async def erase_client(job: JobName, client: ClientName, state: Writes) -> JSONResponse:
    """Erase a client from all rounds, with its statistics and what was made of its updates.

    `removed` counts what went, by kind. `remains` names what by its nature stays: rounds whose aggregates the client
    may have added to, and audit records.
    """
    erasure = await state.workers.run(_erase, state, job, client)
    return NamedResponse(erasure.to_json())


def _counts(index: JobIndex) -> dict[str, Any]:
    return {
        "job": decode(index.job.id),
        "parameters": index.job.schema.parameters,
        "nbytes": index.job.schema.nbytes,
        "committed": len(index.committed),
        "first": index.committed[0] if index.committed else None,
        "latest": index.committed[-1] if index.committed else None,
        "open": list(index.open),
        "clients": len(index.participations),
    }


def _shape(state: State, index: JobIndex) -> dict[str, Any]:
    assignment = state.backends.placement.table.jobs.get(index.job.id)
    shards = sorted({shard for owners in assignment.owners for shard in owners}) if assignment else []
    placement = {"slices": assignment.slices, "replicas": assignment.replicas, "shards": shards} if assignment else None
    settings = {name: value for name, value in index.job.to_json().items() if name != "generation"}
    return {**settings, **_counts(index), "placement": placement}


def _erase(state: State, name: JobId, client: ClientId) -> Erasure:
    """Erase a client, once the store has the aggregates that clients have already: the answer tells of them."""
    state.early_models.wait_for_all(state.rounds.catalog.read_job(name).home)
    return state.eraser.erase(name, client)
