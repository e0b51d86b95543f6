"""Arrays of any library as a safetensors body, sent from the memory they lie in.

NumPy arrays are sent unchanged. A torch tensor is recognized by its method `detach`, so that torch is not imported.
bfloat16, of torch or ml_dtypes, is sent as bfloat16.
"""

import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from flstore_core import codec, flat
from flstore_core.client.bodies import Buffers
from flstore_core.errors import InvalidParameters
from flstore_core.schema import Schema, TensorSpec

Arrays: TypeAlias = Mapping[str, Any]
"""NumPy arrays, torch tensors, or anything `numpy.asarray` takes, by tensor name."""


def schema_of(arrays: Arrays) -> Schema:
    """Return the schema of named arrays; raise `InvalidParameters` for a dtype that safetensors lacks."""
    return Schema.of(spec for spec, _ in (_tensor(name, value) for name, value in arrays.items()))


def body_of(arrays: Arrays, metadata: Mapping[str, str] | None = None) -> Buffers:
    """Return named arrays as a safetensors file; contiguous arrays are not copied."""
    tensors = {name: _tensor(name, value) for name, value in arrays.items()}
    schema = Schema.of(spec for spec, _ in tensors.values())
    header = memoryview(codec.encode_header(schema, metadata))
    return Buffers([header, *(_bytes_of(tensors[spec.name][1]) for spec in schema.tensors)])


def _tensor(name: str, value: Any) -> tuple[TensorSpec, NDArray[Any]]:
    array, is_bfloat16 = _array(value)
    if is_bfloat16:
        return TensorSpec(name, "BF16", array.shape), array
    (spec,) = codec.schema_of({name: array}).tensors
    return spec, array.astype(flat.NUMPY_DTYPE[spec.dtype], copy=False)


def _array(value: Any) -> tuple[NDArray[Any], bool]:
    """Return `value` as an array, and whether its elements are the bits of bfloat16 numbers."""
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":
            # The caller holds a tensor, so torch has been imported.
            return tensor.contiguous().view(sys.modules["torch"].int16).numpy().view(np.uint16), True
        return tensor.numpy(), False
    array = np.asarray(value)
    if array.dtype.name == "bfloat16":
        return np.ascontiguousarray(array).reshape(array.shape).view(np.uint16), True
    return array, False


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def json_safe(value: Any) -> Any:
    """Return a NumPy or torch scalar (or array) as plain JSON; for `json.dumps(default=…)`."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise InvalidParameters(f"{value!r:.80} is no JSON value; metrics hold numbers, text, lists and objects")
