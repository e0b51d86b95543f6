"""safetensors files as other libraries write them. The layouts are those of real files; the code is not theirs."""

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize
from safetensors.numpy import save

Arrays = Mapping[str, NDArray[Any]]
Metadata = Mapping[str, str] | None
Writer = Callable[[Arrays, Metadata], bytes]

CODES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16", "void16": "BF16",
    "int32": "I32", "uint32": "U32", "float32": "F32", "float64": "F64", "int64": "I64", "uint64": "U64",
}  # fmt: skip
"""Codes by NumPy's names. Its arrays of two raw bytes an element stand for bfloat16, which it lacks."""


def file_of(header: bytes, data: bytes = b"") -> bytes:
    """Return a file with this header text."""
    return struct.pack("<Q", len(header)) + header + data


def tensors_in(body: bytes) -> dict[str, Any]:
    """Return dtype, shape and data of each tensor as the safetensors library reads them."""
    return dict(deserialize(body))  # type: ignore[no-untyped-call]


def entries(arrays: Arrays, order: Iterable[str]) -> tuple[dict[str, Any], bytes]:
    """Return the header's entry of each tensor, and the data, with tensors lying in this order."""
    found, data = {}, b""
    for name in order:
        array = arrays[name]
        raw = np.ascontiguousarray(array).tobytes()
        code, place = CODES[array.dtype.name], [len(data), len(data) + len(raw)]
        found[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": place}
        data += raw
    return found, data


def candle(arrays: Arrays, metadata: Metadata = None) -> bytes:
    """Write as the safetensors library: candle calls its Rust crate. (From NumPy it takes no bfloat16.)"""
    return save(dict(arrays), dict(metadata) if metadata else None)


def mlx(arrays: Arrays, metadata: Metadata = None) -> bytes:
    """Write as `mlx.core.save_safetensors` 0.32: data in the order of a hash table, keys sorted, null, no padding."""
    order = sorted(arrays, key=lambda name: name[::-1])  # an order that follows from neither names nor dtypes
    found, data = entries(arrays, order)
    members = {"__metadata__": dict(metadata) if metadata else None, **found}
    return file_of(json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(), data)


def tinygrad(arrays: Arrays, metadata: Metadata = None) -> bytes:
    """Write as `tinygrad.nn.state.safe_save` 0.14: everything in the model's order, spaces up to a multiple of 8."""
    found, data = entries(arrays, arrays)
    text = json.dumps({**({"__metadata__": dict(metadata)} if metadata else {}), **found}, separators=(",", ":"))
    return file_of((text + " " * (-len(text) % 8)).encode(), data)


def mapped(arrays: Arrays, metadata: Metadata = None) -> bytes:
    """Write as for memory-mapping: spaces until the data section begins on a page of 2 MiB; metadata last."""
    found, data = entries(arrays, reversed(list(arrays)))
    text = json.dumps(found | ({"__metadata__": dict(metadata)} if metadata else {}), indent=1)
    return file_of((text + " " * (-(len(text) + 8) % (2 << 20))).encode(), data)


WRITERS: Mapping[str, Writer] = {"candle": candle, "mlx": mlx, "tinygrad": tinygrad, "mapped": mapped}
