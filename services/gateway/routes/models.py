"""Endpoints of programs, data sets and artifacts: store, list, return and delete them."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.files import FileName, StoredFile
from flstore_core.ids import Home, JobId, decode, object_name
from flstore_core.records import Job
from services.gateway.routes.access import JobName, Name, Reads, Writes
from services.gateway.routes.downloads import download
from services.gateway.routes.schemas import BINARY, DOWNLOAD, problems
from services.gateway.routes.uploads import upload
from services.gateway.state import State

router = APIRouter(prefix="/v1/jobs/{job}", tags=["models"])


async def dataset_in_path(dataset: Name) -> str:
    return object_name("data set", dataset)


DatasetName = Annotated[str, Depends(dataset_in_path)]


@router.put("/model", status_code=201, responses=problems(404, 408, 409, 411, 413, 422), openapi_extra=BINARY)
async def put_program(request: Request, job: JobName, state: Writes) -> JSONResponse:
    """Store the program that runs the job's models, as `torch.export.save` wrote it. Nothing in it is executed here."""
    return await _put(request, state, job, state.programs.put_program)


@router.get("/model", response_class=Response, responses=DOWNLOAD)
async def get_program(request: Request, job: JobName, state: Reads) -> Response:
    """Return the program's bytes."""
    return await state.workers.run(_get, request, state, job, state.programs.read_program, FileName.program)


@router.delete("/model", status_code=204, responses=problems(404, 422))
async def delete_program(job: JobName, state: Writes) -> Response:
    """Delete the program."""
    await state.workers.run(state.programs.delete_program, await _read_job(state, job))
    return Response(status_code=204)


@router.get("/datasets", responses=problems(404, 422))
async def list_datasets(job: JobName, state: Reads) -> JSONResponse:
    """List the job's data sets."""
    datasets = await state.workers.run(state.programs.read_datasets, await _read_job(state, job))
    return JSONResponse({"datasets": [{"dataset": name, **_shape(stored)} for name, stored in datasets.items()]})


@router.put(
    "/datasets/{dataset}", status_code=201, responses=problems(404, 408, 409, 411, 413, 422), openapi_extra=BINARY
)
async def put_dataset(request: Request, job: JobName, dataset: DatasetName, state: Writes) -> JSONResponse:
    """Store a data set to evaluate models on: safetensors with `inputs`, usually `targets`, one row an example."""
    return await _put(request, state, job, lambda record, body: state.programs.put_dataset(record, dataset, body))


@router.get("/datasets/{dataset}", response_class=Response, responses=DOWNLOAD)
async def get_dataset(request: Request, job: JobName, dataset: DatasetName, state: Reads) -> Response:
    """Return a data set's bytes."""
    read, name_in = partial(state.programs.read_dataset, name=dataset), partial(FileName.dataset, name=dataset)
    return await state.workers.run(_get, request, state, job, read, name_in)


@router.delete("/datasets/{dataset}", status_code=204, responses=problems(404, 422))
async def delete_dataset(job: JobName, dataset: DatasetName, state: Writes) -> Response:
    """Delete a data set."""
    await state.workers.run(state.programs.delete_dataset, await _read_job(state, job), dataset)
    return Response(status_code=204)


@router.get("/artifacts/{artifact}", response_class=Response, responses=DOWNLOAD)
async def get_artifact(request: Request, job: JobName, artifact: str, state: Reads) -> Response:
    """Return the bytes of a model that a workload wrote; ranges are served."""
    name, store = object_name("artifact", artifact), state.rounds.store
    key = layout.artifact((await _read_job(state, job)).home, name)
    return await state.workers.run(lambda: download(request, store, key, store.stat(key).size, artifact))


@router.delete("/artifacts/{artifact}", status_code=204, responses=problems(404, 422))
async def delete_artifact(job: JobName, artifact: str, state: Writes) -> Response:
    """Delete a model that a workload wrote. Asked again, the workload writes it anew."""
    await state.workers.run(state.runner.delete_artifact, job, artifact)
    return Response(status_code=204)


async def _read_job(state: State, job: JobId) -> Job:
    return await state.workers.run(state.rounds.catalog.read_job, job)


def _get(
    request: Request,
    state: State,
    job: JobId,
    read: Callable[[Job], StoredFile],
    name_in: Callable[[Home], FileName],
) -> Response:
    """Return the response with a stored file. If it is replaced between record and bytes, begin again."""
    record = state.rounds.catalog.read_job(job)
    name, stored = name_in(record.home), read(record)
    while True:
        try:
            return download(request, state.rounds.store, name.file_of(stored.upload), stored.nbytes, stored.sha256)
        except NotFound:
            before, stored = stored, read(record)
            if stored.upload == before.upload:
                raise


async def _put(
    request: Request, state: State, name: JobId, put: Callable[[Job, memoryview], tuple[StoredFile, bool]]
) -> JSONResponse:
    job = await _read_job(state, name)
    patience_s = state.settings.upload_patience_seconds
    async with upload(request, state.uploads, patience_s, state.workers.pool) as received:
        stored, created = await state.workers.run(put, job, received.body)
    return JSONResponse({"job": decode(name), **_shape(stored), "created": created}, 201 if created else 200)


def _shape(stored: StoredFile) -> dict[str, object]:
    return {"sha256": stored.sha256, "nbytes": stored.nbytes, **stored.about, "stored_at": stored.stored_at}
