"""PyTorch's own values by the numbers and names that programs use for them: dtypes, memory formats, operators."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from flstore_core.errors import InvalidProgram
from flstore_core.models.arithmetic import arithmetic_named
from flstore_core.models.contracts import Function, check_overload
from flstore_core.models.devices import CPU
from flstore_core.models.program import TorchValue

TORCH_DTYPES: Mapping[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
"""PyTorch's dtypes by safetensors code."""

_SCALAR_TYPES: Mapping[int, torch.dtype] = {
    **dict(enumerate((torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64), start=1)),
    **dict(enumerate((torch.float16, torch.float32, torch.float64, torch.complex32), start=6)),
    **dict(enumerate((torch.complex64, torch.complex128, torch.bool, torch.bfloat16), start=10)),
}
"""`torch._export.serde.schema.ScalarType`."""
_MEMORY_FORMATS: Mapping[int, torch.memory_format] = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}
"""`torch._export.serde.schema.MemoryFormat`."""
_STRIDED = 7
"""The one `torch._export.serde.schema.Layout` that programs may use."""


def torch_value(value: TorchValue, device: torch.device = CPU) -> Any:
    """Return the dtype, memory format, layout or device that an operand means.

    Args:
        device: where the program computes. It is meant by every device that the program names.

    Raises:
        InvalidProgram: for a number that PyTorch gives no meaning, or a layout other than strided.
    """
    match value.kind:
        case "as_scalar_type" if value.code in _SCALAR_TYPES:
            return _SCALAR_TYPES[value.code]
        case "as_memory_format" if value.code in _MEMORY_FORMATS:
            return _MEMORY_FORMATS[value.code]
        case "as_layout" if value.code == _STRIDED:
            return torch.strided
        case "as_device":
            return device
    raise InvalidProgram(f"operand {value.kind} {value.code} is not one that programs may use")


def makes_tensors(function: Callable[..., Any]) -> bool:
    """Return whether an operator is told on which device its result shall be; by default it is the CPU."""
    schema = getattr(function, "_schema", None)
    return schema is not None and any(argument.name == "device" for argument in schema.arguments)


def operator_named(name: str) -> Callable[..., Any]:
    """Return the operator called `name`, such as `aten.linear.default` or `_operator.mul`.

    The program's parser has already refused every name that is not allowed; what an overload of that name does is only
    known here.

    Raises:
        InvalidProgram: if this PyTorch has no such operator or overload, or programs may not use it.
    """
    namespace, kind, *overload = name.split(".")
    if namespace == "_operator":
        return arithmetic_named(kind)
    try:
        function: Function = getattr(getattr(torch.ops.aten, kind), overload[0])
    except AttributeError:
        raise InvalidProgram(f"PyTorch {torch.__version__} has no operator {name!r:.80}") from None
    check_overload(function)
    return function
