"""Safetensors without copies: parse a body in place, read its flat parameter vector as float32, write a header.

Format: 8 bytes of little-endian header length, a JSON header, the data section
(https://huggingface.co/docs/safetensors). Only files whose data section lies in canonical order (`flstore_core.schema`)
are accepted, so that every byte range of a job's updates follows from its schema and the header's length alone.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters, InvalidTensors
from flstore_core.schema import FLOATS, ITEMSIZE, Run, Schema, TensorSpec

MAX_HEADER_BYTES = 16 * 2**20

Float32 = NDArray[np.float32]

NUMPY_DTYPE: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
}
"""How NumPy reads each dtype; bfloat16, which it lacks, as its raw 16 bits."""

_BLOCK = 1 << 17
"""Elements looked at together: few enough to stay in a core's cache."""
_FLOAT32_MAX = float(np.finfo(np.float32).max)

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
    """Return the header at the `start` of a file, of which the data section need not be there.

    Args:
        max_header_bytes: longest header to read. Hostile JSON takes some thirty times its length in memory, so who
            knows what header to expect should say so.
    """
    if len(start) < 8:
        raise InvalidTensors(f"{len(start)} bytes cannot be safetensors: the header length alone takes 8")
    length = int.from_bytes(start[:8], "little")
    if length > max_header_bytes:
        raise InvalidTensors(f"not safetensors: a header of {length} bytes is over the limit of {max_header_bytes}")
    if 8 + length > len(start):
        raise InvalidTensors(f"truncated: the header takes {length} bytes, {len(start) - 8} are there")
    entries = _load_json(bytes(start[8 : 8 + length]))
    metadata = _metadata(entries.pop("__metadata__", {}))
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


class FlatView:
    """Some runs of the flat parameter vector over their packed bytes, readable as float32 in blocks.

    Args:
        data: the runs' bytes, one after the other.
        runs: the runs, ascending and without gaps in the flat vector.
    """

    __slots__ = ("_parts", "nbytes", "start", "stop")

    def __init__(self, data: memoryview | NDArray[np.uint8], runs: Sequence[Run]) -> None:
        self.start = runs[0].start if runs else 0
        self.stop = runs[-1].start + runs[-1].count if runs else 0
        self.nbytes = sum(run.nbytes for run in runs)
        self._parts: list[tuple[Run, NDArray[Any]]] = []
        offset = 0
        for run in runs:
            self._parts.append((run, np.frombuffer(data, NUMPY_DTYPE[run.dtype], run.count, offset)))
            offset += run.nbytes

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, start: int, stop: int, out: Float32 | None = None) -> Float32:
        """Return flat elements [start, stop) as float32: a view where the bytes allow it and no `out` is given.

        Args:
            out: float32 array of shape (stop - start,) to fill and return.
        """
        if out is None and (view := self._view(start, stop)) is not None:
            return view
        target = np.empty(stop - start, np.float32) if out is None else out
        for run, raw in self._parts:
            first, last = max(start, run.start), min(stop, run.start + run.count)
            if first < last:
                piece = raw[first - run.start : last - run.start]
                _copy_as_float32(piece, run.dtype, target[first - start : last - start])
        return target

    def values(self, start: int, stop: int) -> NDArray[np.floating[Any]]:
        """Return flat elements [start, stop) of one tensor, float64 ones as they are, others as float32."""
        for run, raw in self._parts:
            if run.dtype == "F64" and run.start <= start and stop <= run.start + run.count:
                return raw[start - run.start : stop - run.start]
        return self.read(start, stop)

    def whole(self) -> Float32:
        """Return all elements as float32; a view if they are one float32 run."""
        return self.read(self.start, self.stop)

    def _view(self, start: int, stop: int) -> Float32 | None:
        for run, raw in self._parts:
            if run.dtype == "F32" and run.start <= start and stop <= run.start + run.count:
                return raw[start - run.start : stop - run.start]
        return None


def widen_bfloat16(raw: NDArray[np.uint16]) -> Float32:
    """Return bfloat16 bits as float32: they are a float32's upper half."""
    return (raw.astype(np.uint32) << 16).view(np.float32)


def narrow_to_bfloat16(values: Float32) -> NDArray[np.uint16]:
    """Return finite float32 `values` as bfloat16 bits, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)


def from_float32(values: Float32, dtype: str) -> NDArray[Any]:
    """Return float32 `values` as the NumPy form of safetensors `dtype`."""
    return narrow_to_bfloat16(values) if dtype == "BF16" else values.astype(NUMPY_DTYPE[dtype], copy=False)


def first_nonfinite(body: memoryview, header: Header) -> str | None:
    """Return the name of the first floating-point tensor with an element that is not finite as float32, or None.

    Works block by block, so that it takes no memory to speak of.
    """
    offset = header.data_offset
    for tensor in header.schema.tensors:
        raw = np.frombuffer(body, NUMPY_DTYPE[tensor.dtype], tensor.size, offset)
        offset += tensor.nbytes
        if tensor.dtype in FLOATS and not _all_finite(raw, tensor.dtype):
            return tensor.name
    return None


def _all_finite(raw: NDArray[Any], dtype: str) -> bool:
    return all(_block_is_finite(raw[start : start + _BLOCK], dtype) for start in range(0, len(raw), _BLOCK))


def _block_is_finite(block: NDArray[Any], dtype: str) -> bool:
    """Say whether all elements are finite as float32.

    A sum of squares is finite only if every element is, and reads memory once without a mask; only where it is not
    finite (which large but sound elements can cause too) are the elements looked at.
    """
    if dtype == "BF16":
        return not bool(np.any((block & 0x7F80) == 0x7F80))
    if dtype == "F64":
        return bool(np.all(np.abs(block) <= _FLOAT32_MAX))
    if dtype == "F32":
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(np.dot(block, block)):
                return True
    return bool(np.isfinite(block).all())


def _copy_as_float32(raw: NDArray[Any], dtype: str, out: Float32) -> None:
    if dtype == "BF16":
        np.left_shift(raw, 16, out=out.view(np.uint32), dtype=np.uint32)
    else:
        np.copyto(out, raw, casting="same_kind")


def _load_json(text: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(text, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise InvalidTensors("not safetensors: the header is not JSON with distinct keys") from error
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


def _metadata(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidTensors("__metadata__ must map text to text")
    return value


def _schema(entries: Mapping[str, Any]) -> Schema:
    specs = {name: _tensor(name, entry) for name, entry in entries.items()}
    schema = Schema.of(specs.values())
    offset = 0
    for tensor in schema.tensors:
        found = entries[tensor.name]["data_offsets"]
        if found != [offset, offset + tensor.nbytes]:
            raise InvalidTensors(
                f"tensor {tensor.name!r} lies at {found}, expected {[offset, offset + tensor.nbytes]}: tensors must "
                "lie without gaps by descending dtype, then name, as the safetensors library writes them",
                tensor=tensor.name,
            )
        offset += tensor.nbytes
    return schema


def _tensor(name: str, entry: Any) -> TensorSpec:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise InvalidTensors(f"tensor {name!r} needs dtype, shape and data_offsets")
    shape = entry["shape"]
    if not isinstance(shape, list) or not all(type(n) is int for n in shape):
        raise InvalidTensors(f"tensor {name!r}: shape {shape!r:.100} is not a list of sizes")
    try:
        return TensorSpec(name, str(entry["dtype"])[:20], tuple(shape))
    except InvalidParameters as error:
        raise InvalidTensors(error.detail) from error
