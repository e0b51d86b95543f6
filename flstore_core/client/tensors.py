"""Arrays of any library as a safetensors body, sent from the memory they lie in.

NumPy arrays are sent unchanged. A torch tensor is recognized by its method `detach`, so that torch is not imported.
bfloat16, of torch, MLX or ml_dtypes, is sent as bfloat16. What a library raises becomes an `InvalidParameters` that
names the tensor, and says what to send in its place.
"""

import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from flstore_core import codec, flat
from flstore_core.client.bodies import Buffers
from flstore_core.client.naming import named
from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.schema import ITEMSIZE, Schema, TensorSpec

Arrays: TypeAlias = Mapping[str, Any]
"""NumPy arrays, torch tensors, or anything `numpy.asarray` takes, by tensor name."""

_CODES: Mapping[str, str] = {
    **{dtype.name: code for code, dtype in flat.NUMPY_DTYPE.items() if code != "BF16"},
    "bfloat16": "BF16",
}
"""safetensors' code of each dtype, by the name that NumPy, torch, JAX and others give it."""

_HINTS = {
    "is_meta": "it has a shape, but no values: load the weights first",
    "is_nested": "send each of its parts as a tensor of its own (`tensor.unbind()`)",
    "is_quantized": "send `tensor.dequantize()`, or `tensor.int_repr()`",
    "full_tensor": "send `tensor.full_tensor()`",
    "toarray": "send `matrix.toarray()`",
    "__cuda_array_interface__": "send a copy in main memory, such as `array.get()`",
}
"""What to do about kinds of tensors of torch, SciPy and CuPy, by the attribute that is true of them."""


def schema_of(model: Any) -> Schema:
    """Return the schema of a model: names, dtypes and shapes. Tensors without values (torch's `meta`) will do.

    Raises:
        InvalidParameters: for what is no model or array, or of a dtype that safetensors lacks.
    """
    return Schema.of(_spec(name, value) for name, value in named(model).items())


def body_of(model: Any, metadata: Mapping[str, str] | None = None) -> Buffers:
    """Return a model as a safetensors file; contiguous arrays are not copied. Raise as `schema_of` does."""
    tensors = {name: _tensor(name, value) for name, value in named(model).items()}
    schema = Schema.of(spec for spec, _ in tensors.values())
    header = memoryview(codec.encode_header(schema, metadata))
    return Buffers([header, *(_bytes_of(tensors[spec.name][1]) for spec in schema.tensors)])


def _spec(name: str, value: Any) -> TensorSpec:
    """Return a tensor's dtype and shape without looking at its values, if it says both."""
    try:
        code, shape = _CODES.get(_dtype_name(value)), tuple(map(int, value.shape))
    except Exception:  # of any library: whatever has no dtype or shape is looked at as an array
        code, shape = None, ()
    return TensorSpec(name, code, shape) if code else _tensor(name, value)[0]


def _tensor(name: str, value: Any) -> tuple[TensorSpec, NDArray[Any]]:
    try:
        array, is_bfloat16 = _array(value)
        if is_bfloat16:
            return TensorSpec(name, "BF16", array.shape), array
        _require_numbers(array)
        (spec,) = codec.schema_of({name: array}).tensors
        return spec, array.astype(flat.NUMPY_DTYPE[spec.dtype], copy=False)
    except FLStoreError:
        raise
    except Exception as error:  # of any library: each has its own ways to say that a tensor has no plain values
        kind, reason = type(value).__name__, str(error).partition("\n")[0] or type(error).__name__
        raise InvalidParameters(f"tensor {name!r}: a {kind} cannot be sent ({reason:.200}); {_hint(value)}") from error


def _array(value: Any) -> tuple[NDArray[Any], bool]:
    """Return `value` as an array, and whether its elements are the bits of bfloat16 numbers."""
    if hasattr(value, "detach"):
        return _torch_array(value.detach().cpu())
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError("some of its elements are masked")
    try:
        array = np.asarray(value)
    except Exception:
        if _attribute(value, "dtype") and _dtype_name(value) == "bfloat16":  # MLX's, which NumPy cannot read as it is
            return np.asarray(value.view(sys.modules[type(value).__module__].uint16)), True
        raise
    if array.dtype == object:
        array = _unwrapped(value, array)
    if array.dtype.name == "bfloat16":
        return np.ascontiguousarray(array).reshape(array.shape).view(np.uint16), True
    return array, False


def _unwrapped(value: Any, array: NDArray[Any]) -> NDArray[Any]:
    """Return the array that a value holds which is none itself, such as Flower's `Array`."""
    if callable(getattr(value, "numpy", None)):
        return np.asarray(value.numpy())
    return np.from_dlpack(value) if hasattr(value, "__dlpack__") and value is not array else array


def _torch_array(tensor: Any) -> tuple[NDArray[Any], bool]:
    for lazy in ("resolve_conj", "resolve_neg"):
        if hasattr(tensor, lazy):
            tensor = getattr(tensor, lazy)()
    if str(tensor.dtype) == "torch.bfloat16":
        # The caller holds a tensor, so torch has been imported.
        return tensor.contiguous().view(sys.modules["torch"].int16).numpy().view(np.uint16), True
    return tensor.numpy(), False


def _require_numbers(array: NDArray[Any]) -> None:
    if array.dtype.kind not in "biufc" and array.dtype.name not in _CODES:
        raise TypeError(f"it holds no numbers, but {array.dtype}")


def _dtype_name(value: Any) -> str:
    dtype = value.dtype
    return str(getattr(dtype, "name", dtype)).rpartition(".")[2]


def _hint(value: Any) -> str:
    for attribute, advice in _HINTS.items():
        if _attribute(value, attribute):
            return advice
    if str(_attribute(value, "layout") or "torch.strided") != "torch.strided":
        return "send `tensor.to_dense()`"
    if isinstance(value, np.ma.MaskedArray):
        return "say what the masked elements are with `array.filled(…)`"
    if isinstance(value, bytes):
        return "send `numpy.frombuffer(data, numpy.uint8)`"
    return _hint_by_dtype(value, _attribute(value, "dtype"))


def _hint_by_dtype(value: Any, dtype: Any) -> str:
    if fields := _attribute(dtype, "names"):
        return f"send each of its fields as a tensor of its own: {', '.join(fields)}"
    if isinstance(value, list | tuple) or _attribute(dtype, "hasobject"):
        return "send each of its elements as a tensor of its own"
    advice = f"send an array of one of {', '.join(ITEMSIZE)}"
    if str(_attribute(dtype, "name") or dtype).rpartition(".")[2].startswith(("float8", "float4", "float6")):
        return f"{advice}, such as `tensor.to(torch.bfloat16)` or `array.astype(numpy.float32)`"
    return advice


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # of any library
        return None


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
