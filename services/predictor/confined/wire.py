"""Messages over a socket pair: a JSON header, bytes behind it, and file descriptors beside it. Nothing is pickled.

    13 bytes     lengths of header and body, little-endian (4 and 8 bytes), and the number of descriptors (1 byte)
    header       a JSON object: {"op": "run", "bound": 3, "arrays": [["<f4", [2, 5]]]}
    body         as many bytes as the message says; here the 40 of the array

Both ends use this code. The predictor's socket does not block: where it would, `wait` is called, which gives up when
the run has taken too long. What the predictor receives comes from a stranger, so it says how long a body may be, and
`unpacked` doubts what the header says of it.
"""

import json
import math
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core import buffers
from flstore_core.errors import InvalidParameters
from flstore_core.flat import NUMPY_DTYPE

_PREFIX = struct.Struct("<IQB")
MAX_HEADER_BYTES = 2**20
"""Of a header that the predictor receives; a program of ten thousand layers names its neurons in a third of it."""
AT_ONCE = 2**16
"""Bytes that are read at once, and up to which the parts of a message are joined: a copy costs less than a call."""
_DTYPES = {dtype.str: dtype for dtype in NUMPY_DTYPE.values()}
_MOST_DIMENSIONS = 32
Array = NDArray[Any]


class Ended(Exception):
    """The other end has closed the connection."""


class Malformed(Exception):
    """The other end has sent what is no message."""


@dataclass(frozen=True)
class Message:
    """What was received."""

    header: Mapping[str, Any]
    body: memoryview
    fds: Sequence[int]
    """Now the receiver's to close."""


class Line:
    """One end of the socket pair.

    Args:
        wait: is called where the socket would block, with whether it is to be written to, and returns once it is worth
            trying again.
        max_fds: descriptors that may come with a message; further ones are closed by the kernel.
    """

    def __init__(self, end: socket.socket, wait: Callable[[bool], None], max_fds: int = 0) -> None:
        self._end = end
        self._wait = wait
        self._max_fds = max_fds
        self._buffer = memoryview(bytearray(AT_ONCE))
        self._read = self._buffer[:0]
        """What was read, and belongs to the next messages."""
        self._fds: deque[int] = deque()

    def send(self, header: Mapping[str, Any], body: Sequence[memoryview] = (), fds: Sequence[int] = ()) -> None:
        """Send a message; raise `Ended` if nobody can receive it."""
        text = json.dumps(header, separators=(",", ":")).encode()
        nbytes = sum(part.nbytes for part in body)
        start = _PREFIX.pack(len(text), nbytes, len(fds)) + text
        parts = [memoryview(b"".join((start, *body)))] if nbytes < AT_ONCE else [memoryview(start), *body]
        if fds:
            sent = self._tried(True, lambda: socket.send_fds(self._end, parts[:1], list(fds)))
            parts[0] = parts[0][sent:]
        for part in parts:
            while part.nbytes:
                part = part[self._tried(True, lambda left=part: self._end.send(left)) :]  # type: ignore[misc]

    def receive(self, most: int, most_header: int = MAX_HEADER_BYTES) -> Message:
        """Return the next message.

        Args:
            most: bytes that its body may have.
            most_header: bytes that its header may have.

        Raises:
            Ended: if the other end has closed the connection.
            Malformed: if it sends what is no message, or too long a one.
        """
        header_nbytes, nbytes, fds = _PREFIX.unpack(self._taken(_PREFIX.size))
        if header_nbytes > most_header or nbytes > most or fds > self._max_fds:
            raise Malformed(f"a header of {header_nbytes} bytes, a body of {nbytes} and {fds} descriptors")
        header = _object(bytes(self._taken(header_nbytes)))
        body = self._taken(nbytes)
        return Message(header, body, [self._fds.popleft() for _ in range(fds)])

    def _taken(self, nbytes: int) -> memoryview:
        """Return the next bytes, in memory of their own."""
        target: memoryview = buffers.empty(nbytes, np.uint8).data
        left = target
        while left.nbytes:
            if not self._read.nbytes and left.nbytes >= AT_ONCE:
                left = left[self._read_into(left) :]
                continue
            if not self._read.nbytes:
                self._read = self._buffer[: self._read_into(self._buffer)]
            count = min(left.nbytes, self._read.nbytes)
            left[:count] = self._read[:count]
            left, self._read = left[count:], self._read[count:]
        return target

    def _read_into(self, buffer: memoryview) -> int:
        """Read what there is; descriptors come with the first byte of their message, and wait for its end."""
        if self._max_fds:
            room = socket.CMSG_SPACE(4 * self._max_fds)
            count, beside, _, _ = self._tried(False, lambda: self._end.recvmsg_into([buffer], room))
            for _, _, data in beside:
                self._fds.extend(struct.unpack(f"{len(data) // 4}i", data))
        else:
            count = self._tried(False, lambda: self._end.recv_into(buffer))
        if not count:
            raise Ended
        return int(count)

    def _tried(self, writing: bool, call: Callable[[], Any]) -> Any:
        """Return what a call of the socket returns, once it does not block."""
        while True:
            try:
                return call()
            except BlockingIOError:
                self._wait(writing)
            except ConnectionError as error:
                raise Ended from error


def packed(arrays: Iterable[Array]) -> tuple[list[tuple[str, list[int]]], list[memoryview]]:
    """Return what a header says of arrays, and their bytes; raise `InvalidParameters` for a dtype of no tensor."""
    rows, body = [], []
    for array in arrays:
        whole = np.ascontiguousarray(array)
        if whole.dtype.str not in _DTYPES:
            raise InvalidParameters(f"an array of {array.dtype} is no tensor that a program could take or give")
        rows.append((whole.dtype.str, list(array.shape)))
        body.append(whole.reshape(-1).view(np.uint8).data)
    return rows, body


def unpacked(rows: Any, body: memoryview) -> list[Array]:
    """Return the arrays that a header says are in a body, as views of it; raise `Malformed` if they are not."""
    if not isinstance(rows, list):
        raise Malformed("no list of arrays")
    arrays, offset = [], 0
    for row in rows:
        dtype, shape = _described(row)
        end = offset + dtype.itemsize * math.prod(shape)
        if end > body.nbytes:
            raise Malformed("arrays that are larger than the body")
        arrays.append(np.frombuffer(body[offset:end], dtype).reshape(shape))
        offset = end
    if offset != body.nbytes:
        raise Malformed("a body that is larger than the arrays")
    return arrays


def _described(row: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    match row:
        case [str(code), list(sizes)] if code in _DTYPES and len(sizes) <= _MOST_DIMENSIONS:
            if all(type(size) is int and 0 <= size < 2**48 for size in sizes):
                return _DTYPES[code], tuple(sizes)
    raise Malformed("an array of no dtype or shape")


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("a header that is no JSON") from error
    if not isinstance(value, dict):
        raise Malformed("a header that is no object")
    return value
