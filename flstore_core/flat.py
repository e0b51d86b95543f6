"""The flat parameter vector as numbers: runs of packed bytes, read as float32 where they lie.

A slice of the vector is one or more *runs*, each with a dtype of its own (`flstore_core.schema`). Example: the packed
bytes 00 00 80 3f | 20 c0 are two runs, one float32 element 1.0 and one bfloat16 element −2.5. `FlatView.read(0, 1)` is
a view into those bytes; `read(0, 2)` is a new array (1.0, −2.5), since bfloat16 has to be widened: its 16 bits are the
upper half of a float32, 0xc020 → 0xc0200000 = −2.5.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flstore_core.schema import Run

Float32 = NDArray[np.float32]
Floats = TypeVar("Floats", bound=NDArray[np.floating[Any]])

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
_GREATEST: Mapping[str, float] = {"F16": 65504.0, "BF16": 3.3895313892515355e38}
"""Greatest finite number of each dtype that has fewer than float32."""


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


class SumView(FlatView):
    """A model that is stored as a difference from its base, read as their sum.

    Each block is added when it is read, so that neither part is copied as a whole. A sum beyond float32's range is the
    greatest number within it.
    """

    __slots__ = ("_base", "_delta")

    def __init__(self, base: FlatView, delta: FlatView) -> None:
        """Add two views of the same elements."""
        self.start, self.stop, self.nbytes = delta.start, delta.stop, delta.nbytes
        self._base, self._delta = base, delta

    def read(self, start: int, stop: int, out: Float32 | None = None) -> Float32:
        return _saturating_sum(self._base.read(start, stop), self._delta.read(start, stop), out)

    def values(self, start: int, stop: int) -> NDArray[np.floating[Any]]:
        return _saturating_sum(self._base.values(start, stop), self._delta.values(start, stop), None)


def _saturating_sum(one: Floats, other: Floats, out: Floats | None) -> Floats:
    """Return the sum of arrays of one dtype, no element of it beyond float32's range."""
    with np.errstate(over="ignore"):
        total: Floats = np.add(one, other, out=out)
    np.clip(total, -_FLOAT32_MAX, _FLOAT32_MAX, out=total)
    return total


def widen_bfloat16(raw: NDArray[np.uint16]) -> Float32:
    """Return bfloat16 bits as float32: they are a float32's upper half."""
    return (raw.astype(np.uint32) << 16).view(np.float32)


def narrow_to_bfloat16(values: Float32) -> NDArray[np.uint16]:
    """Return finite float32 `values` as bfloat16 bits, rounded to the nearest, ties to even.

    bfloat16 ends at 3.3895e38, a little before float32. A value at least half a step beyond its end becomes infinite,
    such as 3.4e38: so IEEE 754 rounds, and so does torch.
    """
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)


def from_float32(values: Float32, dtype: str) -> NDArray[Any]:
    """Return finite float32 `values` as the NumPy form of safetensors `dtype`, no element beyond its range."""
    if greatest := _GREATEST.get(dtype):
        values = np.clip(values, -greatest, greatest)
    return narrow_to_bfloat16(values) if dtype == "BF16" else values.astype(NUMPY_DTYPE[dtype], copy=False)


def all_finite(raw: NDArray[Any], dtype: str) -> bool:
    """Return whether every element is finite as float32. Works block by block, so it takes next to no memory."""
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
