"""KServe's model server: a `kserve.Model` for each job, or for one model, and endpoints that know versions.

The SDK's own server would bind a port and handle the process' signals. Here its data plane, repository and endpoints
serve on the socket that the predictor was started for. The SDK refuses versions ("not supported yet") and lists models
on the event loop, so the list and the endpoints whose path has a version are registered before its own.

Whatever reads the store or leases a process runs in a thread: on the event loop, it would hold up everybody.

The data plane passes no version on to a model. So an endpoint puts it into a context variable, which each request has
for itself, and `JobModel` reads it there.

The Open Inference Protocol (v2) is spoken by all predictors, the older one (v1, `:predict`) by those that serve one
model.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, TypeVar

from fastapi import FastAPI, Request, Response
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelRepository
from kserve.constants.constants import V1_ROUTE_PREFIX, V2_ROUTE_PREFIX
from kserve.errors import (
    InferenceError,
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
from kserve.protocol.rest.v1_endpoints import V1Endpoints
from kserve.protocol.rest.v2_datamodels import (
    InferenceRequest,
    ListModelsResponse,
    ModelMetadataResponse,
    ModelReadyResponse,
)
from kserve.protocol.rest.v2_endpoints import V2Endpoints, register_v2_endpoints
from kserve.utils.utils import from_np_dtype
from numpy.typing import NDArray
from pydantic import TypeAdapter

from flstore_core.errors import InvalidParameters
from flstore_core.ids import JobId, job_id
from flstore_core.workloads import InputSpec
from services.predictor.bodies import parse_json
from services.predictor.instances import parse_instances, predictions_of

P = ParamSpec("P")
T = TypeVar("T")


class Models(Protocol):
    """What is served: models by the names that callers give them, each in versions. Methods may block."""

    def infer(self, job: JobId, version: str, inputs: Mapping[str, NDArray[Any]]) -> tuple[str, list[NDArray[Any]]]:
        """Return the version that answered, and its outputs."""

    def inputs(self, job: JobId) -> Sequence[InputSpec]:
        """Return what a model takes."""

    def check(self, job: JobId, version: str) -> None:
        """Raise what `infer` raises for this version, without running the model."""

    def jobs(self) -> list[JobId]:
        """Return the names of all models."""


class Serving(Protocol):
    """What the endpoints need of a predictor's state."""

    @property
    def versions(self) -> Models: ...

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the work of a request in a thread."""


_ANY: TypeAdapter[Any] = TypeAdapter(Any)

_version: ContextVar[str] = ContextVar("version", default="")
"""The version that the request under way names; empty for the newest aggregate."""


class JobModel(Model):  # type: ignore[misc]
    """All models of one job. Each version has the same program and its own weights."""

    def __init__(self, job: JobId, state: Serving) -> None:
        super().__init__(str(job))
        self._job = job
        self._state = state
        self.ready = True

    async def healthy(self) -> bool:
        """Return True if the version that the request names can answer; raise what keeps it from that."""
        await self._state.compute(self._state.versions.check, self._job, _version.get())
        return True

    async def predict(
        self, payload: InferRequest | dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> InferResponse | dict[str, Any]:
        """Infer with the version that the request names."""
        if not isinstance(payload, InferRequest):
            return await self._predict_instances(payload)
        with _decoding():
            inputs = {each.name: each.as_numpy() for each in payload.inputs}
        version, arrays = await self._infer(inputs)
        outputs = []
        for index, array in enumerate(arrays):
            output = InferOutput(f"output_{index}", list(array.shape), from_np_dtype(array.dtype))
            output.set_data_from_numpy(array, binary_data=bool(payload.use_binary_outputs))
            outputs.append(output)
        return InferResponse(payload.id or "", self.name, outputs, model_version=version)

    async def _predict_instances(self, payload: Any) -> dict[str, Any]:
        specs = await self._state.compute(self._state.versions.inputs, self._job)
        _, arrays = await self._infer(parse_instances(payload, specs))
        return {"predictions": predictions_of(arrays, len(payload["instances"]))}

    async def _infer(self, inputs: Mapping[str, NDArray[Any]]) -> tuple[str, list[NDArray[Any]]]:
        return await self._state.compute(self._state.versions.infer, self._job, _version.get(), inputs)

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

    def __init__(self, state: Serving) -> None:
        super().__init__()
        self._state = state

    def get_model(self, name: str) -> JobModel:
        """Return a job's model, whether or not the job has a program; `JobModel.healthy` raises if it has none."""
        if name not in self.models:
            self.update(JobModel(job_id(name), self._state))
        model: JobModel = self.models[name]
        return model


class JobDataPlane(DataPlane):  # type: ignore[misc]
    """The SDK's data plane, which fails in the ways of Python at what is no request."""

    def decode_inference_request(self, *args: Any) -> InferRequest:
        with _decoding():
            return super().decode_inference_request(*args)


@contextmanager
def _decoding() -> Iterator[None]:
    """Raise `InvalidParameters` for what the SDK cannot read."""
    try:
        yield
    except InvalidInput:  # a ValueError that says what is wrong
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, InferenceError) as error:
        raise InvalidParameters(f"this is no request of the Open Inference Protocol: {error!s:.200}") from error


class InstanceEndpoints(V1Endpoints):  # type: ignore[misc]
    """The endpoints of the older protocol, but for explanations. The SDK answers by a class that FastAPI deprecates."""

    async def predict(self, model_name: str, request: Request) -> Response:
        """Predict for the examples in the body, which is JSON whatever its type says."""
        payload = parse_json(await request.body())
        answer, _ = await self.dataplane.infer(model_name, payload, dict(request.headers))
        return Response(_ANY.dump_json(answer), media_type="application/json")


class VersionedEndpoints(V2Endpoints):  # type: ignore[misc]
    """The endpoints whose path names a version, and the list of models, which reads the store."""

    def __init__(self, dataplane: DataPlane, state: Serving) -> None:
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
        """Describe a version that can answer. Its inputs are those of the job's program."""
        _version.set(model_version)
        await self.dataplane.model_ready(model_name)
        metadata: ModelMetadataResponse = await self.model_metadata(model_name)
        return metadata.model_copy(update={"versions": [model_version]})

    async def versioned_ready(self, model_name: str, model_version: str) -> ModelReadyResponse:
        """Say whether a version can answer."""
        _version.set(model_version)
        return await self.model_ready(model_name)


def serve_models(app: FastAPI, state: Serving) -> None:
    """Add the Open Inference Protocol's endpoints to `app`, for the models of all jobs."""
    _serve(app, JobDataPlane(JobRepository(state)), state)


def serve_model(app: FastAPI, state: Serving, name: JobId) -> None:
    """Add the endpoints of both protocols to `app`, for one model."""
    repository = ModelRepository()
    repository.update(JobModel(name, state))
    dataplane = JobDataPlane(repository)
    endpoints, path = InstanceEndpoints(dataplane), V1_ROUTE_PREFIX + "/models"
    app.add_api_route(path, endpoints.models, tags=["V1"])
    app.add_api_route(path + "/{model_name}", endpoints.model_ready, tags=["V1"])
    app.add_api_route(path + "/{model_name}:predict", endpoints.predict, methods=["POST"], tags=["V1"])
    _serve(app, dataplane, state)


def _serve(app: FastAPI, dataplane: DataPlane, state: Serving) -> None:
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
