"""A program with one model's weights: NumPy arrays in, NumPy arrays out, without copies where dtypes allow it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flstore_core.errors import InvalidParameters, InvalidProgram
from flstore_core.flat import NUMPY_DTYPE
from flstore_core.models.executor import Executable
from flstore_core.models.program import Input, Program
from flstore_core.models.running import Running
from flstore_core.models.torch_values import TORCH_DTYPES
from flstore_core.workloads import InputSpec

Array = NDArray[Any]


class Runnable:
    """Implements `flstore_core.workloads.RunnableModel`."""

    def __init__(
        self,
        executable: Executable,
        weights: Mapping[str, Tensor],
        constants: Mapping[str, Tensor],
        running: Running,
    ) -> None:
        self._executable = executable
        self._weights = weights
        self._constants = constants
        self._running = running

    def __call__(self, *inputs: Array) -> list[Array]:
        return self._in_batches(inputs, self._outputs)

    def neurons(self, *inputs: Array) -> dict[str, Array]:
        seen: list[str] = []

        def watched(batch: Sequence[Tensor]) -> list[Array]:
            outputs: dict[str, Tensor] = {}
            self._executable.run(self._weights, self._constants, batch, self._running, outputs.__setitem__)
            seen[:] = outputs
            return [_to_numpy(value) for value in outputs.values()]

        return dict(zip(seen, self._in_batches(inputs, watched), strict=True)) if inputs else {}

    def _outputs(self, batch: Sequence[Tensor]) -> list[Array]:
        outputs = self._executable.run(self._weights, self._constants, batch, self._running)
        if not all(isinstance(value, Tensor) for value in outputs):
            raise InvalidProgram("the program returns something other than a tensor")
        return [_to_numpy(value) for value in outputs]

    def _in_batches(self, inputs: Sequence[Array], run: Callable[[Sequence[Tensor]], list[Array]]) -> list[Array]:
        """Run as many rows at once as the program was exported for; any number where it left that open."""
        program = self._executable.program
        arrays = [_fitting(array, spec) for array, spec in zip(_counted(inputs, program), program.inputs, strict=True)]
        rows, fixed = _rows(arrays), _fixed_batch(program)
        if fixed is None or rows == fixed:
            return run(self._placed(arrays))
        parts = []
        for start in range(0, rows, fixed):
            picked = np.minimum(np.arange(start, start + fixed), rows - 1)
            parts.append([out[: rows - start] for out in run(self._placed([array[picked] for array in arrays]))])
        return [np.concatenate(outs) for outs in zip(*parts, strict=True)]

    def _placed(self, arrays: Sequence[Array]) -> list[Tensor]:
        """Return inputs as the program takes them, where it computes."""
        program, device = self._executable.program, self._executable.device
        return [_to_torch(array, spec).to(device) for array, spec in zip(arrays, program.inputs, strict=True)]


def input_specs(program: Program) -> list[InputSpec]:
    """Return what a program takes, in NumPy's dtypes; float32 stands for bfloat16."""
    return [InputSpec(each.name, _numpy_dtype(each), each.shape) for each in program.inputs]


def _counted(inputs: Sequence[Array], program: Program) -> Sequence[Array]:
    if len(inputs) != len(program.inputs):
        names = ", ".join(each.name for each in program.inputs)
        raise InvalidParameters(
            f"the program takes {len(program.inputs)} input(s) ({names}); {len(inputs)} were passed"
        )
    return inputs


def _fitting(array: Array, spec: Input) -> Array:
    """Return the array in the program's dtype; raise `InvalidParameters` if that loses values or its shape differs."""
    dtype = _numpy_dtype(spec)
    if array.dtype != dtype:
        if not np.can_cast(array.dtype, dtype, casting="same_kind"):
            raise InvalidParameters(f"input {spec.name!r} is {array.dtype}; the program takes {dtype}")
        array = array.astype(dtype)
    sizes = zip(array.shape[1:], spec.shape[1:], strict=False)
    if array.ndim != len(spec.shape) or any(expected not in (None, actual) for actual, expected in sizes):
        expected = ["any" if size is None else size for size in spec.shape]
        raise InvalidParameters(f"input {spec.name!r} has shape {list(array.shape)}; the program takes {expected}")
    if array.ndim and not array.shape[0]:
        raise InvalidParameters(f"input {spec.name!r} has no rows")
    return array


def _rows(arrays: Sequence[Array]) -> int:
    rows = {array.shape[0] for array in arrays if array.ndim}
    if len(rows) != 1:
        raise InvalidParameters(f"the inputs have {sorted(rows)} rows; all need the same number, at least one")
    return int(rows.pop())


def _fixed_batch(program: Program) -> int | None:
    return program.inputs[0].shape[0] if program.inputs and program.inputs[0].shape else None


def _numpy_dtype(spec: Input) -> np.dtype[Any]:
    return np.dtype(np.float32) if spec.dtype == "BF16" else NUMPY_DTYPE[spec.dtype]


def _to_torch(array: Array, spec: Input) -> Tensor:
    contiguous = np.ascontiguousarray(array)
    if not contiguous.flags.writeable:
        contiguous = contiguous.copy()
    tensor = torch.from_numpy(contiguous)
    return tensor.to(TORCH_DTYPES[spec.dtype]) if spec.dtype == "BF16" else tensor


def _to_numpy(tensor: Tensor) -> Array:
    array: Array = (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).cpu().numpy()
    return array
