"""Inner products of deltas in one pass over memory: float32 within a block, float64 across blocks.

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

Precision: BLAS sums a block's products in float32 over at most `BLOCK` elements, which keeps the relative error of a
norm below 1e-6; blocks are added in float64. Squares of elements beyond 1e19 or below 1e-19 leave the range of
float32, and an attacker can send such elements. Products that did leave it are computed again in float64, so that no
client can spoil the statistics of a round.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.flat import FlatView
from flstore_core.schema import Segment

Float64 = NDArray[np.float64]

BLOCK = 8192
"""Elements of a block: 32 KiB a row, so that ten rows stay within a core's second-level cache."""

_SMALLEST_SQUARE = 1e-36
"""Mean square of a delta's elements below which their squares lose digits in float32."""


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
    with np.errstate(over="ignore", invalid="ignore"):
        products, squares = _accumulate(deltas, len(new), segments, start, stop, np.dtype(np.float32))
    if _is_sound(products, len(earlier), stop - start):
        return products, squares
    return _accumulate(deltas, len(new), segments, start, stop, np.dtype(np.float64))


@dataclass(frozen=True, slots=True)
class _Deltas:
    """Updates, read block by block as deltas."""

    rows: Sequence[FlatView]
    base: FlatView | None
    are_deltas: Sequence[bool]

    def read(self, first: int, last: int, out: NDArray[Any]) -> None:
        """Fill each row of `out` with a delta's elements [first, last).

        float64 tensors are subtracted in float64, if `out` is float64, and rounded after, not before.
        """
        origin = None if self.base is None else self.base.values(first, last)
        width = out.dtype if out.dtype == np.float64 else None
        for row, is_delta, target in zip(self.rows, self.are_deltas, out, strict=True):
            if origin is None or is_delta:
                np.copyto(target, row.values(first, last), casting="same_kind")
            else:
                np.subtract(row.values(first, last), origin, out=target, dtype=width, casting="same_kind")


def _is_sound(products: Float64, earlier: int, count: int) -> bool:
    """Return whether all products, and the new deltas' mean squares over `count` elements, are in float32's range."""
    return bool(np.isfinite(products).all() and (products[:, earlier:].diagonal() >= count * _SMALLEST_SQUARE).all())


def _accumulate(
    deltas: _Deltas, new: int, segments: Sequence[Segment], start: int, stop: int, dtype: np.dtype[Any]
) -> tuple[Float64, Float64]:
    """Return what `border` returns for the last `new` rows, with the products of a block summed in `dtype`."""
    count = len(deltas.rows)
    products = np.zeros((new, count))
    squares = np.zeros((new, len(segments)))
    rows = np.empty((count, min(BLOCK, stop - start)), dtype)
    for tensor, first, last in _blocks(segments, start, stop):
        block = rows[:, : last - first]
        deltas.read(first, last, block)
        block_products = block[count - new :] @ block.T
        products += block_products
        squares[:, tensor] += block_products[:, count - new :].diagonal()
    return products, squares


def _blocks(segments: Sequence[Segment], start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield (tensor, first, last) of blocks [first, last) that cover [start, stop), each within one tensor."""
    for index, segment in enumerate(segments):
        last = min(stop, segment.stop)
        for first in range(max(start, segment.start), last, BLOCK):
            yield index, first, min(first + BLOCK, last)
