"""KServe's model server: one `kserve.Model` for each job, and Open Inference Protocol endpoints that know versions.

The SDK's own server would bind a port and handle the process' signals. Here its data plane, repository and endpoints
serve on the socket that the predictor was started for. The SDK refuses versions ("not supported yet") and lists models
on the event loop, so the list and the endpoints whose path has a version are registered before its own.

Whatever reads the store or leases a process runs in a thread: on the event loop, it would hold up everybody.

The data plane passes no version on to a model. So an endpoint puts it into a context variable, which each request has
for itself, and `JobModel` reads it there.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from fastapi import FastAPI, Request, Response
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelRepository
from kserve.constants.constants import V2_ROUTE_PREFIX
from kserve.errors import (
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ServerNotReady,
    invalid_input_handler,
    model_not_found_handler,
    model_not_ready_handler,
    server_not_ready_handler,
)
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.v2_datamodels import (
    InferenceRequest,
    ListModelsResponse,
    ModelMetadataResponse,
    ModelReadyResponse,
)
from kserve.protocol.rest.v2_endpoints import V2Endpoints, register_v2_endpoints
from kserve.utils.utils import from_np_dtype

from flstore_core.ids import JobId, job_id
from services.predictor.state import State

_version: ContextVar[str] = ContextVar("version", default="")
"""The version that the request under way names; empty for the newest aggregate."""


class JobModel(Model):  # type: ignore[misc]
    """All models of one job. Each version has the same program and its own weights."""

    def __init__(self, job: JobId, state: State) -> None:
        super().__init__(str(job))
        self._job = job
        self._state = state
        self.ready = True

    async def predict(self, payload: InferRequest, headers: Mapping[str, str] | None = None) -> InferResponse:
        """Infer with the version that the request names."""
        inputs = {each.name: each.as_numpy() for each in payload.inputs}
        version, arrays = await self._state.compute(self._state.versions.infer, self._job, _version.get(), inputs)
        outputs = []
        for index, array in enumerate(arrays):
            output = InferOutput(f"output_{index}", list(array.shape), from_np_dtype(array.dtype))
            output.set_data_from_numpy(array, binary_data=bool(payload.use_binary_outputs))
            outputs.append(output)
        return InferResponse(payload.id or "", self.name, outputs, model_version=version)

    async def get_input_types(self) -> list[dict[str, Any]]:
        specs = await self._state.compute(self._state.versions.inputs, self._job)
        return [
            {
                "name": spec.name,
                "datatype": from_np_dtype(spec.dtype),
                "shape": [-1 if size is None else size for size in spec.shape],
            }
            for spec in specs
        ]


class JobRepository(ModelRepository):  # type: ignore[misc]
    """Jobs as KServe's models, created on first use."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state

    def get_model(self, name: str) -> JobModel:
        """Return a job's model, whether or not the job has a program; `Versions` raises if it has none."""
        if name not in self.models:
            self.update(JobModel(job_id(name), self._state))
        model: JobModel = self.models[name]
        return model

    async def is_model_ready(self, name: str) -> bool:
        """Return True if a version can answer; raise what `Versions.check` raises if it cannot."""
        await self._state.compute(self._state.versions.check, job_id(name), _version.get())
        return True


class VersionedEndpoints(V2Endpoints):  # type: ignore[misc]
    """The endpoints whose path names a version, and the list of models, which reads the store."""

    def __init__(self, dataplane: DataPlane, state: State) -> None:
        super().__init__(dataplane)
        self._state = state

    async def models(self) -> ListModelsResponse:
        """List the jobs that have a program."""
        jobs = await self._state.compute(self._state.versions.jobs)
        return ListModelsResponse(models=[str(job) for job in jobs])

    async def versioned_infer(
        self,
        raw_request: Request,
        raw_response: Response,
        model_name: str,
        model_version: str,
        request_body: InferenceRequest | bytes,
    ) -> Any:
        """Infer with a version."""
        _version.set(model_version)
        return await self.infer(raw_request, raw_response, model_name, request_body)

    async def versioned_metadata(self, model_name: str, model_version: str) -> ModelMetadataResponse:
        """Describe a version. Its inputs are those of the job's program."""
        _version.set(model_version)
        metadata: ModelMetadataResponse = await self.model_metadata(model_name)
        return metadata.model_copy(update={"versions": [model_version]})

    async def versioned_ready(self, model_name: str, model_version: str) -> ModelReadyResponse:
        """Say whether a version can answer."""
        _version.set(model_version)
        return await self.model_ready(model_name)


def serve_models(app: FastAPI, state: State) -> None:
    """Add the Open Inference Protocol's endpoints to `app`."""
    dataplane = DataPlane(JobRepository(state))
    endpoints = VersionedEndpoints(dataplane, state)
    path = V2_ROUTE_PREFIX + "/models/{model_name}/versions/{model_version}"
    app.add_api_route(V2_ROUTE_PREFIX + "/models", endpoints.models, response_model=ListModelsResponse, tags=["V2"])
    app.add_api_route(path, endpoints.versioned_metadata, response_model=ModelMetadataResponse, tags=["V2"])
    app.add_api_route(path + "/ready", endpoints.versioned_ready, response_model=ModelReadyResponse, tags=["V2"])
    app.add_api_route(path + "/infer", endpoints.versioned_infer, methods=["POST"], response_model=None, tags=["V2"])
    register_v2_endpoints(app, dataplane, None)
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)


_HANDLERS: Mapping[type[Exception], Any] = {
    InvalidInput: invalid_input_handler,
    ModelNotFound: model_not_found_handler,
    ModelNotReady: model_not_ready_handler,
    ServerNotReady: server_not_ready_handler,
}
