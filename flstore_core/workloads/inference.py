"""The outputs of a stored model for given inputs, in the form of the Open Inference Protocol v2.

Tensors travel as in that protocol: name, datatype, shape, and data in row-major order. A batch of two rows of three
numbers is `{"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}`.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le, MinLen
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters
from flstore_core.workloads import Context, InputSpec, ModelAccess, Needs, Partial, Pattern, Result
from flstore_core.workloads.shared.named_models import OneModelParams, RunsOneModel

DATATYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(bool),
    **{f"UINT{bits}": np.dtype(f"u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
}
"""The protocol's datatypes, without BYTES, which no program takes."""


@dataclass(frozen=True)
class Tensor:
    """A tensor in the form of the protocol."""

    name: str
    """Name of the input in the program. If the names differ from the program's, inputs are taken in order."""
    datatype: str
    """Element type, such as `FP32` or `INT64`."""
    shape: list[int]
    """Sizes of the dimensions."""
    data: list[Any]
    """The elements in row-major order, nested or flat."""

    def array(self) -> NDArray[Any]:
        """Return the tensor as an array; raise `InvalidParameters` if data do not fit datatype or shape."""
        if self.datatype not in DATATYPES:
            raise InvalidParameters(
                f"input {self.name!r:.80}: datatype {self.datatype!r:.40} is unknown; use one of {', '.join(DATATYPES)}"
            )
        try:
            return np.array(self.data, DATATYPES[self.datatype]).reshape(self.shape)
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidParameters(
                f"input {self.name!r:.80}: data do not fit datatype {self.datatype} and shape {self.shape}: {error}"
            ) from error


@dataclass(frozen=True, kw_only=True)
class InferenceParams(OneModelParams):
    """Which model is run, and on what: on `inputs`, or on rows of a stored data set."""

    inputs: Annotated[list[Tensor], MinLen(1)] | None = None
    """Input tensors, in the form of the protocol."""
    dataset: str | None = None
    """Name of a stored data set to take inputs from instead."""
    first: Annotated[int, Ge(0)] = 0
    """First row of the data set to use, counted from 0."""
    rows: Annotated[int, Ge(1), Le(100_000)] = 16
    """Number of rows of the data set to use; fewer if it ends before."""

    def __post_init__(self) -> None:
        if (self.inputs is None) == (self.dataset is None):
            raise InvalidParameters("give either inputs or dataset, and not both")
        if self.inputs is not None:
            # A predictor gets plain JSON values, which no pydantic makes tensors of.
            tensors = [Tensor(**tensor) if isinstance(tensor, dict) else tensor for tensor in self.inputs]
            object.__setattr__(self, "inputs", tensors)


@dataclass(frozen=True)
class OutputTensor(Result):
    """One output tensor."""

    name: str
    """`output_0`, `output_1` and so on, in the order of the program's outputs."""
    datatype: str
    """Element type, such as `FP32`."""
    shape: list[int]
    """Sizes of the dimensions."""
    data: list[Any]
    """The elements in row-major order, flat."""


@dataclass(frozen=True)
class InferenceResult(Result):
    """The answer, in the form of the protocol."""

    model_name: str
    """Name of the job."""
    model_version: str
    """Name of the model of that job, such as `12` or `12:client-7`."""
    outputs: list[OutputTensor]
    """The outputs of the program."""


class Inference(RunsOneModel):
    """The outputs of a stored model for given inputs."""

    name = "inference"
    pattern = Pattern.P1
    needs = Needs.MODEL
    source = "Open Inference Protocol v2 (KServe); FLStore, arXiv 2503.00323, section 2"
    params = InferenceParams
    result = InferenceResult

    def datasets(self, params: InferenceParams) -> Sequence[str]:
        return [params.dataset] if params.dataset else []

    def run(self, access: ModelAccess, params: InferenceParams) -> Partial:
        (name,) = access.models
        outputs = access.model(name, params.scale)(*_inputs(access, params))
        return {f"output_{index}": np.asarray(output, order="C") for index, output in enumerate(outputs)}

    def combine(self, partials: Sequence[Partial], context: Context, params: InferenceParams) -> InferenceResult:
        (partial,) = partials
        outputs = [_output(f"output_{index}", partial[f"output_{index}"]) for index in range(len(partial))]
        return InferenceResult(context.job.id, str(context.models[0]), outputs)


def _inputs(access: ModelAccess, params: InferenceParams) -> list[NDArray[Any]]:
    if params.dataset is None:
        return _in_order({tensor.name: tensor.array() for tensor in params.inputs or ()}, access.inputs)
    arrays = access.dataset(params.dataset)
    if params.first >= len(arrays["inputs"]):
        raise InvalidParameters(
            f"first is {params.first}; data set {params.dataset!r} has {len(arrays['inputs'])} rows, numbered from 0"
        )
    more = sorted(name for name in arrays if name not in ("inputs", "targets"))
    names = ["inputs", *more[: len(access.inputs) - 1]]
    return [arrays[name][params.first : params.first + params.rows] for name in names]


def _in_order(tensors: Mapping[str, NDArray[Any]], specs: Sequence[InputSpec]) -> list[NDArray[Any]]:
    """Return the tensors in the order of the program's inputs if they have their names, else as they came."""
    names = [spec.name for spec in specs]
    return [tensors[name] for name in names] if set(names) == set(tensors) else list(tensors.values())


def _output(name: str, array: NDArray[Any]) -> OutputTensor:
    if not np.isfinite(array).all():
        raise InvalidParameters(
            f"{name} of the model has a NaN or an infinity, which JSON cannot express; ask another model, or with "
            "other inputs"
        )
    datatype = next((code for code, dtype in DATATYPES.items() if dtype == array.dtype), str(array.dtype))
    return OutputTensor(name, datatype, list(array.shape), array.ravel().tolist())
