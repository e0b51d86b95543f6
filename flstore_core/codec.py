"""Safetensors without copies: parse a file in place, write its header, hand out its arrays as views.

A file is 8 bytes with the header's length (little-endian), a JSON header, and the data section. This is the whole file
of two tensors, w = (1.0, −2.5) as float32 and n = 7 as int64, 136 bytes:

    0     70 00 00 00 00 00 00 00                      the header takes 0x70 = 112 bytes
    8     {"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},
          "w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}
                                                       107 bytes, then 5 spaces: the data section begins at 120
    120   07 00 00 00 00 00 00 00                      n
    128   00 00 80 3f  00 00 20 c0                     w

`n` comes first, since tensors lie by descending dtype rank, then by name: the canonical order, in which the safetensors
library writes them (`flstore_core.schema`). No other order is accepted. So the place of every byte of a job's updates
follows from its schema and one number, the header's length. The job's flat parameter vector is (1.0, −2.5): n is no
float. Its element 1 lies at bytes 120 + 8 + 4 = 132 to 135, and no header has to be read to know that.

A header comes from outside and is not trusted: its length is limited before it is parsed, and offsets must be exactly
those that follow from names, dtypes and shapes. Source: https://huggingface.co/docs/safetensors, "Format".
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters, InvalidTensors
from flstore_core.flat import NUMPY_DTYPE, all_finite, widen_bfloat16
from flstore_core.schema import FLOATS, ITEMSIZE, Schema, TensorSpec

MAX_HEADER_BYTES = 16 * 2**20

_CODE = {dtype: code for code, dtype in NUMPY_DTYPE.items() if code != "BF16"}


@dataclass(frozen=True)
class Header:
    """What a safetensors header says."""

    schema: Schema
    metadata: Mapping[str, str]
    data_offset: int
    """First byte of the data section."""

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file."""
        return self.data_offset + self.schema.nbytes


def parse(body: memoryview, max_header_bytes: int = MAX_HEADER_BYTES) -> Header:
    """Return the header of a whole safetensors `body`; raise `InvalidTensors` for anything unsound."""
    header = parse_header(body, max_header_bytes)
    if header.nbytes != len(body):
        raise InvalidTensors(f"the header describes {header.nbytes} bytes, but the body has {len(body)}")
    return header


def parse_header(start: memoryview, max_header_bytes: int = MAX_HEADER_BYTES) -> Header:
    """Return the header of a file from its `start`, which need not reach into the data section.

    Args:
        max_header_bytes: longest header to read. Hostile JSON takes some thirty times its length in memory, so a
            caller that knows what header to expect should say so.
    """
    if len(start) < 8:
        raise InvalidTensors(f"{len(start)} bytes cannot be safetensors: the header length alone takes 8")
    length = int.from_bytes(start[:8], "little")
    if length > max_header_bytes:
        raise InvalidTensors(f"not safetensors: a header of {length} bytes is over the limit of {max_header_bytes}")
    if 8 + length > len(start):
        raise InvalidTensors(f"truncated: the header takes {length} bytes, but only {len(start) - 8} follow")
    entries = _load_json(bytes(start[8 : 8 + length]))
    metadata = _metadata(entries.pop("__metadata__", None))
    return Header(_schema(entries), metadata, 8 + length)


def encode_header(schema: Schema, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes that precede the data section of a file with `schema`, padded to a multiple of 8."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for tensor in schema.tensors:
        entries[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def encode(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> list[memoryview]:
    """Return a safetensors file as buffers to send one after the other; contiguous arrays are not copied."""
    schema = schema_of(arrays)
    parts = [memoryview(encode_header(schema, metadata))]
    for tensor in schema.tensors:
        array = np.ascontiguousarray(arrays[tensor.name], dtype=NUMPY_DTYPE[tensor.dtype])
        parts.append(memoryview(array.reshape(-1).view(np.uint8).data))
    return parts


def dumps(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file as one `bytes`."""
    return b"".join(encode(arrays, metadata))


def loads(body: bytes | memoryview) -> tuple[dict[str, NDArray[Any]], Mapping[str, str]]:
    """Return a file's arrays, as views into `body`, and its metadata. bfloat16 comes widened to float32."""
    view = memoryview(body).cast("B")
    header = parse(view)
    arrays: dict[str, NDArray[Any]] = {}
    offset = header.data_offset
    for tensor in header.schema.tensors:
        raw = np.frombuffer(view[offset : offset + tensor.nbytes], NUMPY_DTYPE[tensor.dtype])
        arrays[tensor.name] = (widen_bfloat16(raw) if tensor.dtype == "BF16" else raw).reshape(tensor.shape)
        offset += tensor.nbytes
    return arrays, header.metadata


def schema_of(arrays: Mapping[str, NDArray[Any]]) -> Schema:
    """Return the schema of named NumPy arrays; raise `InvalidParameters` for a dtype safetensors lacks."""
    return Schema.of(TensorSpec(name, _code_of(name, array), array.shape) for name, array in arrays.items())


def _code_of(name: str, array: NDArray[Any]) -> str:
    try:
        return _CODE[array.dtype.newbyteorder("<")]
    except KeyError:
        raise InvalidParameters(f"tensor {name!r}: dtype {array.dtype} is not one of {', '.join(ITEMSIZE)}") from None


def first_nonfinite(body: memoryview, header: Header) -> str | None:
    """Return the name of the first floating-point tensor with an element that is not finite as float32, or None.

    Works block by block, so that it takes no memory to speak of.
    """
    offset = header.data_offset
    for tensor in header.schema.tensors:
        raw = np.frombuffer(body, NUMPY_DTYPE[tensor.dtype], tensor.size, offset)
        offset += tensor.nbytes
        if tensor.dtype in FLOATS and not all_finite(raw, tensor.dtype):
            return tensor.name
    return None


def _load_json(text: bytes) -> dict[str, Any]:
    try:
        # Decoded here: from bytes, `json` would take UTF-16 and UTF-32 as well, which the safetensors library refuses.
        entries = json.loads(text.decode(), object_pairs_hook=_distinct, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise InvalidTensors("not safetensors: the header is not JSON with distinct keys in UTF-8") from error
    if not isinstance(entries, dict):
        raise InvalidTensors("not safetensors: the header is not a JSON object")
    return entries


def _distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    listed = list(pairs)
    entries = dict(listed)
    if len(entries) != len(listed):
        raise ValueError("doubled key")
    for key in entries:
        key.encode()  # half of a surrogate pair is no text, and could not be answered with
    return entries


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _metadata(value: Any) -> Mapping[str, str]:
    if value is None:  # as some writers say that there is none
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidTensors("__metadata__ must map text to text")
    return value


def _schema(entries: Mapping[str, Any]) -> Schema:
    specs = {name: _tensor(name, entry) for name, entry in entries.items()}
    schema = Schema.of(specs.values())
    offset = 0
    for tensor in schema.tensors:
        offsets = entries[tensor.name]["data_offsets"]
        if offsets != [offset, offset + tensor.nbytes] or not _are_sizes(offsets):
            raise InvalidTensors(
                f"tensor {tensor.name!r} lies at {offsets}, expected {[offset, offset + tensor.nbytes]}: tensors must "
                "lie without gaps by descending dtype, then name, as the safetensors library writes them",
                tensor=tensor.name,
            )
        offset += tensor.nbytes
    return schema


def _are_sizes(numbers: list[Any]) -> bool:
    """Say whether all are integers: to Python, 8.0 equals 8 and false equals 0, but other readers refuse them."""
    return all(type(number) is int for number in numbers)


def _tensor(name: str, entry: Any) -> TensorSpec:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise InvalidTensors(f"tensor {name!r} needs dtype, shape and data_offsets")
    shape = entry["shape"]
    if not isinstance(shape, list) or not _are_sizes(shape):
        raise InvalidTensors(f"tensor {name!r}: shape {shape!r:.100} is not a list of sizes")
    try:
        return TensorSpec(name, str(entry["dtype"])[:20], tuple(shape))
    except InvalidParameters as error:
        raise InvalidTensors(error.detail) from error
