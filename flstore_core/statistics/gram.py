"""Inner products of deltas, one pass over memory: float32 blocks, accumulated in float64.

A block of every row is read, its base subtracted and multiplied while it lies in the CPU's cache, so that memory is
read once however many rows there are. A block's products are summed by BLAS in float32 over at most `BLOCK` elements,
which keeps the relative error of a norm below 1e-6; everything above a block is float64.

float32 squares leave its range where elements are beyond 1e19 or below 1e-19 or so, as a hostile update's may be. Such
rows are gone over again in float64, so that one client cannot spoil the statistics of a round.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.flat import FlatView
from flstore_core.schema import Segment

Float64 = NDArray[np.float64]

BLOCK = 8192
"""Elements: 32 KiB a row, so that ten rows stay within a core's second-level cache."""

_SMALLEST_SQUARE = 1e-36
"""Mean square of a delta's elements below which float32 loses digits of the squares."""


def border(
    known: Sequence[FlatView],
    new: Sequence[FlatView],
    base: FlatView | None,
    segments: Sequence[Segment],
    bounds: tuple[int, int] | None = None,
) -> tuple[Float64, Float64]:
    """Return the rows that `new` deltas add to the Gram matrix of `known` ones.

    Args:
        known: k updates that are in the matrix already, over one range of the flat vector.
        new: m updates over the same range.
        base: the model the deltas are taken against; zero if None.
        segments: the tensors, in flat order; only their parts within the range count.
        bounds: first and last + 1 of the elements to look at, which all rows have; all of the first new one's if None.

    Returns:
        The inner products, shape (m, k + m), columns first `known`, then `new`; and the squared norms of the new deltas
        by tensor, shape (m, len(segments)).
    """
    if not new:
        return np.zeros((0, len(known))), np.zeros((0, len(segments)))
    start, stop = bounds or (new[0].start, new[0].stop)
    with np.errstate(over="ignore", invalid="ignore"):
        products, squares = _accumulate(known, new, base, segments, start, stop, np.dtype(np.float32))
    if _is_sound(products, len(known), stop - start):
        return products, squares
    return _accumulate(known, new, base, segments, start, stop, np.dtype(np.float64))


def _is_sound(products: Float64, known: int, count: int) -> bool:
    """Say whether nothing has left float32's range."""
    return bool(np.isfinite(products).all() and (products[:, known:].diagonal() >= count * _SMALLEST_SQUARE).all())


def _accumulate(
    known: Sequence[FlatView],
    new: Sequence[FlatView],
    base: FlatView | None,
    segments: Sequence[Segment],
    start: int,
    stop: int,
    dtype: np.dtype[Any],
) -> tuple[Float64, Float64]:
    rows = [*known, *new]
    products = np.zeros((len(new), len(rows)))
    squares = np.zeros((len(new), len(segments)))
    deltas = np.empty((len(rows), min(BLOCK, stop - start)), dtype)
    for tensor, first, last in _blocks(segments, start, stop):
        block = deltas[:, : last - first]
        _read_deltas(rows, base, first, last, block)
        part = block[len(known) :] @ block.T
        products += part
        squares[:, tensor] += part[:, len(known) :].diagonal()
    return products, squares


def _blocks(segments: Sequence[Segment], start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield (index of the tensor, first, last) of blocks that cover [start, stop) and cross no tensor's border."""
    for index, segment in enumerate(segments):
        last = min(stop, segment.stop)
        for first in range(max(start, segment.start), last, BLOCK):
            yield index, first, min(first + BLOCK, last)


def _read_deltas(rows: Sequence[FlatView], base: FlatView | None, first: int, last: int, out: NDArray[Any]) -> None:
    origin = None if base is None else base.values(first, last)
    width = out.dtype if out.dtype == np.float64 else None
    for row, target in zip(rows, out, strict=True):
        if origin is None:
            np.copyto(target, row.values(first, last), casting="same_kind")
        else:
            np.subtract(row.values(first, last), origin, out=target, dtype=width, casting="same_kind")
