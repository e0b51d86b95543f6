"""Inner products of deltas in one pass over memory, in float64.

The idea: updates arrive one after the other, so the Gram matrix of a round's deltas grows by a border, a row (and by
symmetry a column) for each new update. To compute it, a block of every model is read, the base is subtracted, and the
blocks are multiplied while they lie in the CPU's cache. So each model is read from memory once, however many there
are.

Example: the base is (1, 1), and the updates (2, 1) and (1, 3) are in the matrix; their deltas are (1, 0) and (0, 2).
The update (3, 2) arrives, with the delta (2, 1). Its border is its products with both and with itself::

    products = [[2, 2, 5]]        the matrix becomes   1  0  2
                                                       0  4  2
                                                       2  2  5

If each of the two elements is a tensor of its own, its squared norms by tensor are [[4, 1]]. Products and squares are
sums over elements, so those of slices add up to those of the whole vector.

Precision: everything is float64. Differences and products of float32 numbers are exact in it, or nearly so, and the sum
of 10⁹ of them has a relative error below 1e-10 in whatever order a CPU's BLAS kernel adds. 1e-6 is promised. Sums in
float32 are a third faster, and miss that over a few thousand equal elements. The squares of all that float32 holds
are within float64's range, so that no client can spoil the statistics of a round.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flstore_core.flat import FlatView
from flstore_core.schema import Segment

Float64 = NDArray[np.float64]

BLOCK = 8192
"""Elements of a block: 64 KiB a row, so that ten rows stay within a core's second-level cache."""


def border(
    earlier: Sequence[FlatView],
    new: Sequence[FlatView],
    base: FlatView | None,
    segments: Sequence[Segment],
    bounds: tuple[int, int] | None = None,
    are_deltas: Sequence[bool] | None = None,
) -> tuple[Float64, Float64]:
    """Return the rows that `new` deltas add to the Gram matrix of the `earlier` ones.

    Args:
        earlier: k updates that are in the matrix already, over one range of the flat vector.
        new: m updates over the same range.
        base: the model that deltas are taken against; zero if None.
        segments: the tensors, in flat order; only their parts within the range count.
        bounds: start and stop of the elements to use, which all rows have; all of the first new row's if None.
        are_deltas: whether each of `earlier` and then of `new` is a delta already, from which no base is subtracted;
            none is if None.

    Returns:
        The inner products, float64, shape (m, k + m), columns first `earlier`, then `new`; and the squared norms of the
        new deltas by tensor, float64, shape (m, len(segments)).
    """
    if not new:
        return np.zeros((0, len(earlier))), np.zeros((0, len(segments)))
    start, stop = bounds or (new[0].start, new[0].stop)
    rows = [*earlier, *new]
    deltas = _Deltas(rows, base, are_deltas or [False] * len(rows))
    products = np.zeros((len(new), len(rows)))
    squares = np.zeros((len(new), len(segments)))
    block = np.empty((len(rows), min(BLOCK, stop - start)))
    for tensor, first, last in _blocks(segments, start, stop):
        read = block[:, : last - first]
        deltas.read(first, last, read)
        block_products = read[len(earlier) :] @ read.T
        products += block_products
        squares[:, tensor] += block_products[:, len(earlier) :].diagonal()
    return products, squares


@dataclass(frozen=True, slots=True)
class _Deltas:
    """Updates, read block by block as deltas."""

    rows: Sequence[FlatView]
    base: FlatView | None
    are_deltas: Sequence[bool]

    def read(self, first: int, last: int, out: Float64) -> None:
        """Fill each row of `out` with a delta's elements [first, last). They are widened before they are subtracted."""
        origin = None if self.base is None else self.base.values(first, last).astype(np.float64)
        for row, is_delta, target in zip(self.rows, self.are_deltas, out, strict=True):
            np.copyto(target, row.values(first, last))
            if origin is not None and not is_delta:
                np.subtract(target, origin, out=target)


def _blocks(segments: Sequence[Segment], start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield (tensor, first, last) of blocks [first, last) that cover [start, stop), each within one tensor."""
    for index, segment in enumerate(segments):
        last = min(stop, segment.stop)
        for first in range(max(start, segment.start), last, BLOCK):
            yield index, first, min(first + BLOCK, last)
