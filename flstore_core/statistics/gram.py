"""Inner products of deltas, one pass over memory: float32 blocks, accumulated in float64.

A block of every row is read, its base subtracted and multiplied while it lies in the CPU's cache, so that memory is
read once however many rows there are. A block's products are summed by BLAS in float32 over at most `BLOCK` elements,
which keeps the relative error of a norm below 1e-6; everything above a block is float64.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from flstore_core.codec import FlatView, Float32
from flstore_core.schema import Segment

Float64 = NDArray[np.float64]

BLOCK = 8192
"""Elements: 32 KiB a row, so that ten rows stay within a core's second-level cache."""


def border(
    known: Sequence[FlatView], new: Sequence[FlatView], base: FlatView | None, segments: Sequence[Segment]
) -> tuple[Float64, Float64]:
    """Return the rows that `new` deltas add to the Gram matrix of `known` ones.

    Args:
        known: k updates that are in the matrix already, over one range of the flat vector.
        new: m updates over the same range.
        base: the model the deltas are taken against; zero if None.
        segments: the tensors, in flat order; only their parts within the range count.

    Returns:
        The inner products, shape (m, k + m), columns first `known`, then `new`; and the squared norms of the new deltas
        by tensor, shape (m, len(segments)).
    """
    rows = [*known, *new]
    products = np.zeros((len(new), len(rows)))
    squares = np.zeros((len(new), len(segments)))
    if not new or not len(new[0]):
        return products, squares
    deltas = np.empty((len(rows), BLOCK), np.float32)
    base_block = np.empty(BLOCK, np.float32)
    for tensor, start, stop in _blocks(segments, new[0].start, new[0].stop):
        block = deltas[:, : stop - start]
        _read_deltas(rows, base, start, stop, block, base_block[: stop - start])
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


def _read_deltas(
    rows: Sequence[FlatView], base: FlatView | None, start: int, stop: int, out: Float32, scratch: Float32
) -> None:
    if base is None:
        for row, target in zip(rows, out, strict=True):
            row.read(start, stop, target)
        return
    origin = base.read(start, stop, scratch)
    for row, target in zip(rows, out, strict=True):
        np.subtract(row.read(start, stop), origin, out=target)
