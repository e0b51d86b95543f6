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
library writes them (`flstore_core.schema`). A file in another order is as sound, but is stored in this one
(`Canonical`). So the place of every byte of a job's updates follows from its schema and one number, the header's
length. The job's flat parameter vector is (1.0, −2.5): n is no float. Its element 1 lies at bytes 120 + 8 + 4 = 132 to
135, and no header has to be read to know that.

A header comes from outside and is not trusted; see `flstore_core.header`.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters
from flstore_core.flat import NUMPY_DTYPE, all_finite, widen_bfloat16
from flstore_core.header import MAX_HEADER_BYTES, Header, encode_header, parse, parse_header
from flstore_core.schema import FLOATS, ITEMSIZE, Schema, TensorSpec, hint

__all__ = [
    "MAX_HEADER_BYTES",
    "Canonical",
    "Header",
    "dumps",
    "encode",
    "encode_header",
    "first_nonfinite",
    "loads",
    "parse",
    "parse_header",
    "schema_of",
]

_CODE = {dtype: code for code, dtype in NUMPY_DTYPE.items() if code != "BF16"}


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
    for tensor, offset in header.tensors():
        raw = np.frombuffer(view[offset : offset + tensor.nbytes], NUMPY_DTYPE[tensor.dtype])
        arrays[tensor.name] = (widen_bfloat16(raw) if tensor.dtype == "BF16" else raw).reshape(tensor.shape)
    return arrays, header.metadata


def schema_of(arrays: Mapping[str, NDArray[Any]]) -> Schema:
    """Return the schema of named NumPy arrays; raise `InvalidParameters` for a dtype safetensors lacks."""
    return Schema.of(TensorSpec(name, _code_of(name, array), array.shape) for name, array in arrays.items())


def _code_of(name: str, array: NDArray[Any]) -> str:
    try:
        return _CODE[array.dtype.newbyteorder("<")]
    except KeyError:
        raise InvalidParameters(
            f"tensor {name!r}: dtype {array.dtype} is not one of {', '.join(ITEMSIZE)}; {hint(array.dtype.name)}"
        ) from None


class Canonical:
    """A file as it is stored, with its tensors in canonical order, whatever order they came in. Nothing is copied.

    Example: the data section of a file has w at bytes 0 to 7 and n at 8 to 15. In canonical order n comes first, so
    bytes 4 to 11 of the stored data section are the pieces [12, 16) and [0, 4) of the one that came.
    """

    def __init__(self, body: memoryview, header: Header, *, keep_header: bool = True) -> None:
        """Take a whole file and its parsed header.

        Args:
            keep_header: whether the header is stored as it came if all tensors are in place.
        """
        self._header = header
        self._data = body[header.data_offset :]
        self.is_as_it_came = keep_header and header.is_canonical
        came = body[: header.data_offset]
        self.head = came if self.is_as_it_came else memoryview(encode_header(header.schema, header.metadata))
        """Everything before the data section."""

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file."""
        return len(self.head) + len(self._data)

    def pieces(self) -> list[memoryview]:
        """Return the whole file."""
        return [self.head, *self.cut(0, len(self._data))]

    def cut(self, start: int, stop: int) -> list[memoryview]:
        """Return bytes [start, stop) of the data section."""
        if self._header.is_canonical:
            return [self._data[start:stop]]
        return list(self._find(start, stop))

    @cached_property
    def _ends(self) -> list[int]:
        """Where each tensor ends in the stored data section."""
        return list(accumulate(tensor.nbytes for tensor in self._header.schema.tensors))

    def _find(self, start: int, stop: int) -> Iterator[memoryview]:
        index = bisect_right(self._ends, start)
        while start < stop:
            end = min(stop, self._ends[index])
            until = self._header.places[index] + self._header.schema.tensors[index].nbytes - (self._ends[index] - end)
            yield self._data[until - (end - start) : until]
            start, index = end, index + 1


def first_nonfinite(body: memoryview, header: Header) -> str | None:
    """Return the name of the first floating-point tensor with an element that is not finite as float32, or None.

    Works block by block, so that it takes no memory to speak of.
    """
    for tensor, offset in header.tensors():
        raw = np.frombuffer(body, NUMPY_DTYPE[tensor.dtype], tensor.size, offset)
        if tensor.dtype in FLOATS and not all_finite(raw, tensor.dtype):
            return tensor.name
    return None
