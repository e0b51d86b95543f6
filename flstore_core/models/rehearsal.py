"""Calls an operator without its data first, to learn whether its operands fit and what its result will hold.

PyTorch's *meta* tensors have shape, strides and dtype, and no memory. On them an operator computes the shape of its
result, and raises for operands that do not fit, in microseconds and without an allocation, however large the
result would be. Example: `expand` of 1 number to (2¹⁵, 2¹⁵) takes no memory, its `clone` 4 GiB: the rehearsal
of `clone` says so, and a run that may hold 1 GiB ends there rather than the process.

A composite operator is rehearsed down to those that it calls, since the largest of their results may be larger than
its own, and a contract of theirs may be broken: `instance_norm` calls `batch_norm`.

What an operator does with values, rather than shapes, has no rehearsal. Those whose result's size depends on values
are rehearsed as another call that gives the same size (`_SUBSTITUTES`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from flstore_core.models.contracts import Function, Unfit, check, check_extent, named, tensors_of

Call = tuple[Function, tuple[Any, ...], Mapping[str, Any]]
META = torch.device("meta")
aten: Any = torch.ops.aten


def needed_bytes(function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Return what a call will allocate: its results, or more where it needs more on its way.

    Of what a composite operator allocates, the largest piece counts, and so do copies of operands that are views with
    repeated elements, which kernels make to have them in order. Views need nothing.

    Raises:
        Unfit: if the operands break a contract.
        Exception: what the operator raises for operands of such shapes and dtypes.
    """
    check(function, args, kwargs)
    copies = {id(tensor): _copied_bytes(tensor) for tensor in tensors_of([*args, *kwargs.values()])}
    with torch.inference_mode(False), torch.no_grad():
        operands, options = _on_meta([*args]), {name: _on_meta(value) for name, value in kwargs.items()}
        before = {tensor.untyped_storage()._cdata for tensor in tensors_of([*operands, *options.values()])}
        with _Rehearsing() as rehearsing:
            result = function(*operands, **_with_device(function, options))
        made = _bytes_of([result], before)
    for tensor in tensors_of([result]):
        check_extent(tensor)
    largest = max(made, rehearsing.largest)
    return max(largest, sum(copies.values())) if largest else 0


def depends_on_values(name: str) -> bool:
    """Return whether the operator of that name, such as `aten.nonzero.default`, must be rehearsed at every call."""
    return name.replace("_.", ".") in _SUBSTITUTES


def by_values(function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call | None:
    """Return a call that gives a result of the same size as this one does with its operands' values; None for none.

    Raises:
        Unfit: if the values break what the kernel takes on trust.
    """
    operands = named(function, args, kwargs)
    return _SUBSTITUTES[str(function).replace("_.", ".")](function, operands)


class _Rehearsing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Checks what a composite operator calls, and notes the largest result."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest = 0

    def __torch_dispatch__(
        self, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = _with_device(func, kwargs or {})
        check(func, args, options)
        before = {tensor.untyped_storage()._cdata for tensor in tensors_of([*args, *options.values()])}
        result = func(*args, **options)
        self.largest = max(self.largest, _bytes_of([result], before))
        return result


def _with_device(function: Function, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    takes_device = any(argument.name == "device" for argument in function._schema.arguments)
    return {**kwargs, "device": META} if takes_device else kwargs


def _on_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)
    return [_on_meta(each) for each in value] if isinstance(value, list | tuple) else value


def _bytes_of(results: Sequence[Any], before: set[int]) -> int:
    """Return the bytes of the storages among results that are not among those of operands."""
    storages = [tensor.untyped_storage() for tensor in tensors_of(results)]
    return sum({each._cdata: each.nbytes() for each in storages if each._cdata not in before}.values())


def _copied_bytes(tensor: Tensor) -> int:
    """Return what a contiguous copy takes if it is larger than the tensor itself, 0 otherwise."""
    elements = math.prod(tensor.shape)
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return elements * tensor.itemsize if elements > span else 0


def _nothing(_: Function, __: Mapping[str, Any]) -> None:
    """The result is a number, or a view."""


def _nonzero(_: Function, operands: Mapping[str, Any]) -> Call:
    tensor = operands.get("self", operands.get("condition"))
    return aten.zeros.default, ([int(torch.count_nonzero(tensor)), max(tensor.dim(), 1)],), {"dtype": torch.int64}


def _masked_select(_: Function, operands: Mapping[str, Any]) -> Call:
    tensor, mask = operands["self"], operands["mask"]
    if mask.dtype is not torch.bool:
        raise Unfit("mask must be boolean")
    shape = torch.broadcast_shapes(tensor.shape, mask.shape)  # type: ignore[no-untyped-call]
    return aten.zeros.default, (list(shape),), {"dtype": tensor.dtype}


def _index(function: Function, operands: Mapping[str, Any]) -> Call:
    """A mask stands for as many lists of places as it has dimensions."""
    indices: list[Tensor | None] = []
    for index in operands["indices"]:
        if index is None or index.dtype not in (torch.bool, torch.uint8):
            indices.append(index)
            continue
        places = torch.zeros(1, dtype=torch.int64).expand(int(torch.count_nonzero(index)))
        indices.extend([places] * max(index.dim(), 1))
    if len(indices) > operands["self"].dim():
        raise Unfit(f"{len(indices)} indices for {operands['self'].dim()} dimensions")
    return function, (operands["self"], indices, *([operands["values"]] if "values" in operands else [])), {}


def _repeat(function: Function, operands: Mapping[str, Any]) -> Call:
    repeats, size = operands["repeats"], operands["output_size"]
    if repeats.dim() > 1 or repeats.dtype not in (torch.int32, torch.int64):
        raise Unfit("repeats is a list of integers")
    total = sum(repeats.tolist()) if repeats.dim() else repeats.item() * _length(operands)
    if bool((repeats < 0).any()) or total > 2**40 or size not in (None, total):
        raise Unfit(f"repeats are at least 0, and {total} in all")
    if "self" not in operands:
        return aten.zeros.default, ([total],), {"dtype": repeats.dtype}
    values, dim = operands["self"], operands["dim"]
    if dim is None:
        shape = [total]
    else:
        shape = list(values.shape)
        shape[dim] = total
    return aten.zeros.default, (shape,), {"dtype": values.dtype}


def _length(operands: Mapping[str, Any]) -> int:
    if "self" not in operands:
        return 1
    dim = operands["dim"]
    return int(operands["self"].numel() if dim is None else operands["self"].shape[dim])


def _one_hot(_: Function, operands: Mapping[str, Any]) -> Call:
    values, classes = operands["self"], operands["num_classes"]
    if classes < 0:
        classes = 1 + int(values.max()) if values.numel() else 1
    return aten.zeros.default, ([*values.shape, max(classes, 1)],), {"dtype": torch.int64}


def _narrow(_: Function, operands: Mapping[str, Any]) -> Call:
    start = int(operands["start"].item())
    return aten.narrow.default, (operands["self"], operands["dim"], start, operands["length"]), {}


def _index_fill(_: Function, operands: Mapping[str, Any]) -> Call:
    return aten.index_fill.int_Scalar, (operands["self"], operands["dim"], operands["index"], 0), {}


def _linspace(_: Function, operands: Mapping[str, Any]) -> Call:
    return aten.linspace.default, (0, 1, operands["steps"]), {"dtype": operands["dtype"]}


def _division(function: Function, operands: Mapping[str, Any]) -> Call:
    """The processor ends a process that divides the least integer by −1."""
    left, right = operands["self"], operands["other"]
    if operands["rounding_mode"] == "trunc" and left.dtype in (torch.int32, torch.int64):
        negative = (right == -1).any() if isinstance(right, Tensor) else right == -1
        if bool(negative) and bool((left == torch.iinfo(left.dtype).min).any()):
            raise Unfit("the least integer is not divided by -1")
    return function, (left, right), {"rounding_mode": operands["rounding_mode"]}


_SUBSTITUTES: Mapping[str, Callable[[Function, Mapping[str, Any]], Call | None]] = {
    "aten.item.default": _nothing,
    "aten.nonzero.default": _nonzero,
    "aten.where.default": _nonzero,
    "aten.masked_select.default": _masked_select,
    "aten.index.Tensor": _index,
    "aten.index_put.default": _index,
    "aten.repeat_interleave.Tensor": _repeat,
    "aten.repeat_interleave.self_Tensor": _repeat,
    "aten.one_hot.default": _one_hot,
    "aten.narrow.Tensor": _narrow,
    "aten.index_fill.int_Tensor": _index_fill,
    "aten.linspace.Tensor_Tensor": _linspace,
    "aten.linspace.Tensor_Scalar": _linspace,
    "aten.linspace.Scalar_Tensor": _linspace,
    "aten.div.Tensor_mode": _division,
    "aten.div.Scalar_mode": _division,
}
