"""Outputs of any stored model for given inputs, in the form of the Open Inference Protocol v2.

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
"""The protocol's datatypes; BYTES, which no program takes, is left out."""


@dataclass(frozen=True)
class Tensor:
    """A tensor in the protocol's form."""

    name: str
    """As the program calls it; any name, in order, will do."""
    datatype: str
    """Such as `FP32` or `INT64`."""
    shape: list[int]
    """Sizes."""
    data: list[Any]
    """Numbers in row-major order, nested or flat."""

    def array(self) -> NDArray[Any]:
        """Return the tensor; raise `InvalidParameters` where data, datatype and shape do not fit together."""
        if self.datatype not in DATATYPES:
            raise InvalidParameters(f"datatype {self.datatype!r:.40} is not one of {', '.join(DATATYPES)}")
        try:
            return np.array(self.data, DATATYPES[self.datatype]).reshape(self.shape)
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidParameters(f"input {self.name!r:.80}: data do not fit datatype and shape: {error}") from error


@dataclass(frozen=True, kw_only=True)
class InferenceParams(OneModelParams):
    """The model asked, and what it is asked for: `inputs`, or rows of a stored data set."""

    inputs: Annotated[list[Tensor], MinLen(1)] | None = None
    """Tensors in the protocol's form."""
    dataset: str | None = None
    """A stored data set whose `inputs` are taken."""
    first: Annotated[int, Ge(0)] = 0
    """First row taken of the data set."""
    rows: Annotated[int, Ge(1), Le(100_000)] = 16
    """How many rows are taken of the data set."""

    def __post_init__(self) -> None:
        if (self.inputs is None) == (self.dataset is None):
            raise InvalidParameters("give either inputs or dataset")
        if self.inputs is not None:
            given = [Tensor(**each) if isinstance(each, dict) else each for each in self.inputs]
            object.__setattr__(self, "inputs", given)


@dataclass(frozen=True)
class OutputTensor(Result):
    """One output."""

    name: str
    """`output_0`, `output_1`, …"""
    datatype: str
    """Such as `FP32`."""
    shape: list[int]
    """Sizes."""
    data: list[Any]
    """Numbers in row-major order, flat."""


@dataclass(frozen=True)
class InferenceResult(Result):
    """The protocol's answer."""

    model_name: str
    """The job."""
    model_version: str
    """The model of it that answered."""
    outputs: list[OutputTensor]
    """What the program returned."""


class Inference(RunsOneModel):
    """Outputs of a stored model for given inputs."""

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
        return {f"output_{index}": np.ascontiguousarray(output) for index, output in enumerate(outputs)}

    def combine(self, partials: Sequence[Partial], context: Context, params: InferenceParams) -> InferenceResult:
        (partial,) = partials
        outputs = [_output(f"output_{index}", partial[f"output_{index}"]) for index in range(len(partial))]
        return InferenceResult(context.job.id, str(context.models[0]), outputs)


def _inputs(access: ModelAccess, params: InferenceParams) -> list[NDArray[Any]]:
    if params.dataset is not None:
        arrays = access.dataset(params.dataset)
        more = sorted(name for name in arrays if name not in ("inputs", "targets"))
        names = ["inputs", *more[: len(access.inputs) - 1]]
        return [arrays[name][params.first : params.first + params.rows] for name in names]
    return _ordered({each.name: each.array() for each in params.inputs or ()}, access.inputs)


def _ordered(given: Mapping[str, NDArray[Any]], specs: Sequence[InputSpec]) -> list[NDArray[Any]]:
    names = [spec.name for spec in specs]
    return [given[name] for name in names] if set(names) == set(given) else list(given.values())


def _output(name: str, array: NDArray[Any]) -> OutputTensor:
    datatype = next((code for code, dtype in DATATYPES.items() if dtype == array.dtype), str(array.dtype))
    return OutputTensor(name, datatype, list(array.shape), array.ravel().tolist())
