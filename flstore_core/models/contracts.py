"""What PyTorch's kernels take on trust, checked before they are called.

Most operators check their operands themselves: a matrix product of (2, 3) and (4, 5) raises. Some do not, since the
layers above them were meant to. Such a kernel reads or writes past the end of a tensor, divides in a way that kills the
process, or leaves its result as the memory was. Example: `native_batch_norm` of an input (1, 4, 9) reads four numbers
from `running_mean`. With a tensor of one number it reads three that belong to somebody else.

A contract is a function of an operator's operands by name. It holds for meta tensors as for real ones, so that it is
also asked for the operators that a composite one calls (`flstore_core.models.rehearsal`). `tests/models/fuzzing.py`
found most of them: it calls every operator with operands that end at a page that must not be touched.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from flstore_core.errors import InvalidProgram

Function = torch._ops.OpOverload[..., Any]
Operands = Mapping[str, Any]
"""An operator's operands by name, with its defaults for those that were not passed."""

MOST_INTEGER = 2**30
"""Largest size, stride, padding or index that is passed on: products of three such fit into 64 bits nearly, and the
result's own size is checked besides."""
MOST_ELEMENTS = 2**40
"""Largest number of elements of a tensor, views with repeated elements included."""
MOST_PARTS = 2**14
"""Largest number of parts that a tensor is cut into along a dimension."""
_FLOATS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})
_UNBOUNDED = frozenset({("slice", "start"), ("slice", "end"), ("slice_scatter", "start"), ("slice_scatter", "end")})
"""Integers that are cut to the tensor's size, for which programs pass the largest there is."""


class Unfit(ValueError):
    """Operands break a contract."""


def check_overload(function: Function) -> None:
    """Raise `InvalidProgram` for an overload that works on lists or texts, or writes to an operand other than `self`.

    `sort.values`, `max.dim_max` and `xlogy.OutTensor` write to operands too, though nothing in their names says so;
    `mul.left_t` repeats a list as often as it is told.
    """
    schema, name = function._schema, base_name(function)
    written = [argument.name for argument in schema.arguments if argument.alias_info and argument.alias_info.is_write]
    if written != (["self"] if schema.name.endswith("_") else []):
        raise InvalidProgram(f"operator {function} writes to an operand; programs may not")
    kinds = {str(each.type) for each in (*schema.arguments, *schema.returns)}
    tensors = any("Tensor" in str(each.type) for each in schema.returns) or name == "item" or name.startswith("sym_")
    if not tensors or not kinds <= _KINDS or str(function) in _REFUSED:
        raise InvalidProgram(f"operator {function} is not among those that programs may use")


_REFUSED = frozenset(
    f"aten.{name}.{overload}"
    for name, overload in (
        ("tensor_split", "tensor_indices_or_sections"),
        *(("to", f"prim_{what}") for what in ("Device", "dtype", "other")),
        *((name, "data") for name in ("lstm", "gru", "rnn_relu", "rnn_tanh")),
    )
)
"""Overloads that take sizes from a tensor, or are TorchScript's own: `to.prim_dtype` without a dtype crashes."""
_SINGLE = frozenset({"Device", "Tensor", "bool", "float", "int", "number", "str"})
_LISTS = frozenset({"List[Optional[Tensor]]", "List[Tensor]", "List[bool]", "List[float]", "List[int]"})
_KINDS = _SINGLE | _LISTS | {f"Optional[{kind}]" for kind in _SINGLE | _LISTS}


def check(function: Function, args: Sequence[Any], kwargs: Operands) -> None:
    """Raise `Unfit` where the operands break what the operator's kernel takes on trust."""
    operands = named(function, args, kwargs)
    name = base_name(function)
    for integer in _integers(function):
        if (name, integer) not in _UNBOUNDED:
            _check_integers(integer, operands[integer])
    for tensor in tensors_of(operands.values()):
        check_extent(tensor)
    if contract := CONTRACTS.get(name):
        contract(operands)


def check_extent(tensor: Tensor) -> None:
    """Raise `Unfit` for a tensor of more elements than can be counted safely, or of sizes below 0 as `expand` makes."""
    if math.prod(max(size, 1) for size in tensor.shape) > MOST_ELEMENTS:
        raise Unfit(f"a tensor of shape {list(tensor.shape)} has too many elements")
    if min(tensor.shape, default=0) < 0:
        raise Unfit(f"a tensor has no shape {list(tensor.shape)}")


def base_name(function: Function) -> str:
    """Return an operator's name without namespace, overload, and the underscore of in-place variants."""
    return function._schema.name.removeprefix("aten::").removesuffix("_")


def named(function: Function, args: Sequence[Any], kwargs: Operands) -> dict[str, Any]:
    """Return operands by name; raise `Unfit` if one is missing."""
    names, defaults = _signature(function)
    operands = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
    if len(args) > len(names) or operands.keys() != set(names):
        raise Unfit(f"it takes {', '.join(names)}")
    return operands


def tensors_of(values: Any) -> Iterator[Tensor]:
    """Yield the tensors among nested lists of operands or results."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_of(value)


@cache
def _signature(function: Function) -> tuple[tuple[str, ...], dict[str, Any]]:
    arguments = function._schema.arguments
    defaults = {each.name: each.default_value for each in arguments if each.has_default_value()}
    return tuple(each.name for each in arguments), defaults


@cache
def _integers(function: Function) -> tuple[str, ...]:
    """Return the names of the operands that are integers, or lists of them."""
    plain = ("int", "List[int]", "Optional[int]", "Optional[List[int]]")
    return tuple(each.name for each in function._schema.arguments if str(each.type) in plain)


def _check_integers(name: str, value: Any) -> None:
    for each in value if isinstance(value, list | tuple) else (value,):
        if isinstance(each, int) and abs(each) > MOST_INTEGER:
            raise Unfit(f"{name} {each} is out of all proportion")


def _fits(tensor: Tensor | None, shape: Sequence[int], name: str) -> None:
    if tensor is not None and tuple(tensor.shape) != tuple(shape):
        raise Unfit(f"{name} has shape {list(tensor.shape)}, and {list(shape)} is needed")


def _batch_norm(operands: Operands) -> None:
    """One number a channel of each; in training mode the statistics that are passed would be written to."""
    size = operands["input"].shape
    if len(size) < 2:
        raise Unfit("input needs a dimension of channels")
    running = [operands[name] for name in ("running_mean", "running_var")]
    for names in (("weight", "bias"), ("running_mean", "running_var")):
        for name in names:
            _fits(operands[name], size[1:2], name)
        types = {each.dtype for name in names if (each := operands[name]) is not None}
        if len(types) > 1 or not types <= _FLOATS:
            raise Unfit(f"{' and '.join(names)} are of other types than it computes with")
    if operands.get("training", operands.get("use_input_stats", False)):
        if any(each is not None for each in running):
            raise Unfit("it would write to the model's statistics; export the module in evaluation mode")
    elif any(each is None for each in running):
        raise Unfit("in evaluation mode both running statistics are needed")


def _group_norm(operands: Operands) -> None:
    size, groups = operands["input"].shape, operands.get("num_groups", operands.get("group", 0))
    if len(size) < 2 or groups < 1 or size[1] % groups:
        raise Unfit(f"input of shape {list(size)} cannot be cut into {groups} groups of channels")
    sizes = (size[0], size[1], math.prod(size[2:]))
    if sizes != tuple(operands.get(name, own) for name, own in zip(("N", "C", "HxW"), sizes, strict=True)):
        raise Unfit(f"N, C and HxW are not those of an input of shape {list(size)}")
    for name in ("weight", "bias"):
        _fits(operands[name], size[1:2], name)
    if "N" in operands and not all(_in_order(operands[name]) for name in ("input", "weight", "bias")):
        raise Unfit("input, weight and bias must lie in memory in order")


def _in_order(tensor: Tensor | None) -> bool:
    if tensor is None or tensor.is_contiguous():
        return True
    return tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)


def _trailing_norm(operands: Operands) -> None:
    shape = tuple(operands["normalized_shape"])
    if not shape or tuple(operands["input"].shape[-len(shape) :]) != shape:
        raise Unfit(f"normalized_shape {list(shape)} is not the end of {list(operands['input'].shape)}")
    for name in ("weight", "bias"):
        _fits(operands.get(name), shape, name)


def _attention(operands: Operands) -> None:
    """Queries (…, H, L, E), keys (…, H', S, E), values (…, H', S, E'), a mask that each size of (…, H, L, S) fits."""
    query, key, value, mask = (operands[name] for name in ("query", "key", "value", "attn_mask"))
    if operands["dropout_p"]:
        raise Unfit("dropout draws random numbers; export the module in evaluation mode")
    if min(query.dim(), key.dim(), value.dim()) < 2 or key.shape[-1] != query.shape[-1]:
        raise Unfit("query and key need the same last size")
    _fits(value, (*key.shape[:-1], value.shape[-1]), "value")
    if query.dim() != key.dim() or query.shape[:-3] != key.shape[:-3] or not _heads_fit(operands, query, key):
        raise Unfit(f"query {list(query.shape)} and key {list(key.shape)} differ in batch or heads")
    if mask is not None:
        scores = (*query.shape[:-1], key.shape[-2])
        wanted = scores[len(scores) - mask.dim() :]
        if mask.dim() > len(scores) or any(
            size not in (1, full) for size, full in zip(mask.shape, wanted, strict=True)
        ):
            raise Unfit(f"attn_mask has shape {list(mask.shape)}, and {list(scores)} is needed")


def _flash_attention(operands: Operands) -> None:
    """The kernel reads rows of four-dimensional tensors, whatever their strides say."""
    _attention(operands)
    tensors = [operands[name] for name in ("query", "key", "value", "attn_mask") if operands[name] is not None]
    if any(tensor.stride(-1) != 1 for tensor in tensors if tensor.shape[-1] > 1):
        raise Unfit("query, key, value and attn_mask must lie in memory row by row")


def _heads_fit(operands: Operands, query: Tensor, key: Tensor) -> bool:
    if query.dim() < 3 or query.shape[-3] == key.shape[-3]:
        return True
    return bool(operands.get("enable_gqa")) and key.shape[-3] > 0 and query.shape[-3] % key.shape[-3] == 0


def _recurrent(gates: int, operands: Operands) -> None:
    """Of every layer and direction: input weights (gates · H, I), hidden weights (gates · H, H), two biases."""
    if "batch_sizes" in operands or operands["train"]:
        raise Unfit("it takes padded sequences, and a module exported in evaluation mode")
    states = operands["hx"] if isinstance(operands["hx"], list | tuple) else [operands["hx"]]
    inputs, params = operands["input"], operands["params"]
    directions, per = 1 + operands["bidirectional"], 4 if operands["has_biases"] else 2
    count = operands["num_layers"] * directions
    if inputs.dim() != 3 or len(params) != count * per or count < 1 or len(states) != 1 + (gates == 4):
        raise Unfit(f"{len(params)} weights are not those of {operands['num_layers']} layers")
    width, batch = states[0].shape[-1], inputs.shape[0 if operands["batch_first"] else 1]
    if len({tensor.dtype for tensor in (inputs, *states, *params)}) > 1:
        raise Unfit("input, hx and weights are of one dtype")
    for state in states:
        _fits(state, (count, batch, width), "hx")
    for place in range(count):
        taken = inputs.shape[2] if place < directions else width * directions
        shapes = ((gates * width, taken), (gates * width, width), (gates * width,), (gates * width,))
        for param, shape in zip(params[place * per : (place + 1) * per], shapes, strict=False):
            _fits(param, shape, "a weight")


def _grid(operands: Operands) -> None:
    """Unknown modes leave the result as the memory was."""
    if operands["interpolation_mode"] not in (0, 1, 2) or operands["padding_mode"] not in (0, 1, 2):
        raise Unfit("interpolation and padding mode are 0, 1 or 2")


def _upsample(operands: Operands) -> None:
    """A scale must be that of the sizes: kernels compute places in the input from it."""
    if "scale_factors" in operands:
        return  # a composite, which calls the operator with sizes
    sizes, outputs = operands["self"].shape[2:], operands["output_size"]
    names = ("scales",) if "scales" in operands else ("scales_h", "scales_w")
    for size, output, name in zip(sizes, outputs, names, strict=False):
        scale = operands[name]
        if scale is not None and not abs(size * scale - output) <= 1:
            raise Unfit(f"{name} {scale} does not make {output} of {size}")


def _parts(operands: Operands) -> None:
    """Every part is an object in memory, however few numbers it has."""
    tensor, dim = operands["self"], operands["dim"]
    size = tensor.shape[dim] if -tensor.dim() <= dim < tensor.dim() else 0
    count = operands.get("sections", operands.get("chunks", size))
    if min(size, count) > MOST_PARTS or ("sections" in operands and count > MOST_PARTS):
        raise Unfit(f"a tensor is not cut into more than {MOST_PARTS} parts")


def _average(operands: Operands) -> None:
    if operands["divisor_override"] is not None and operands["divisor_override"] < 1:
        raise Unfit("divisor_override is at least 1")


def _median(operands: Operands) -> None:
    """The kernel over one dimension reads past the end of a tensor that repeats elements."""
    tensor = operands["self"]
    if any(step == 0 and size > 1 for size, step in zip(tensor.shape, tensor.stride(), strict=True)):
        raise Unfit("the median of repeated elements is not taken; make a copy of them first")


def _no_dropout(operands: Operands) -> None:
    if operands["train"]:
        raise Unfit("dropout draws random numbers; export the module in evaluation mode")


def _view(operands: Operands) -> None:
    """Kernels count on the bytes of booleans to be 0 or 1."""
    if operands.get("dtype") is torch.bool and operands["self"].dtype is not torch.bool:
        raise Unfit("bytes cannot be viewed as booleans; compare them with 0")


CONTRACTS: Mapping[str, Callable[[Operands], None]] = {
    **dict.fromkeys(
        ("batch_norm", "native_batch_norm", "_native_batch_norm_legit_no_training", "instance_norm"), _batch_norm
    ),
    **dict.fromkeys(("group_norm", "native_group_norm"), _group_norm),
    **dict.fromkeys(("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm"), _trailing_norm),
    "scaled_dot_product_attention": _attention,
    "_scaled_dot_product_flash_attention_for_cpu": _flash_attention,
    "lstm": lambda operands: _recurrent(4, operands),
    "gru": lambda operands: _recurrent(3, operands),
    **dict.fromkeys(("rnn_relu", "rnn_tanh"), lambda operands: _recurrent(1, operands)),
    **dict.fromkeys(("grid_sampler", "grid_sampler_2d"), _grid),
    **dict.fromkeys(
        (
            "upsample_bicubic2d",
            "upsample_bilinear2d",
            "upsample_linear1d",
            "upsample_nearest1d",
            "upsample_nearest2d",
        ),
        _upsample,
    ),
    **dict.fromkeys(("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"), _no_dropout),
    **dict.fromkeys(("split", "chunk", "unbind", "tensor_split", "split_with_sizes"), _parts),
    **dict.fromkeys(("avg_pool2d", "avg_pool3d"), _average),
    "median": _median,
    "view": _view,
}
"""By an operator's name: what its operands must be like, by shapes and numbers alone."""
