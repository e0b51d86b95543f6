"""Coordinate-wise combinations of models: weighted sum, trimmed mean, median; in blocks that stay in the CPU's cache.

Yin, Chen, Ramchandran, Bartlett 2018, Byzantine-Robust Distributed Learning (ICML), for trimmed mean and median.
Every model is read once, and beside the output only a few blocks of memory are used.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from flstore_core import buffers
from flstore_core.workloads.methods.geometry import Float32, Float64
from flstore_core.workloads.methods.sorting_network import drop_extremes

_SUMS_BLOCK = 16_384


class FlatRow(Protocol):
    """One model's slice of the flat vector, read as float32 block by block."""

    @property
    def start(self) -> int:
        """First element of the slice."""

    @property
    def stop(self) -> int:
        """Last element of the slice, plus 1."""

    def read(self, start: int, stop: int, out: Float32 | None = None, /) -> Float32:
        """Return elements [start, stop); in `out` if given, of that length."""


class Combiner(Protocol):
    """Combines n rows, a block of coordinates at a time."""

    block: ClassVar[int]
    """Coordinates of a block, so few that its rows stay within the CPU's second-level cache."""

    def __call__(self, rows: Sequence[FlatRow], start: int, stop: int, out: Float32) -> None:
        """Fill `out`, shape (stop - start,), with the combination of coordinates [start, stop)."""


def combine_rows(rows: Sequence[FlatRow], combiner: Combiner, base: FlatRow | None) -> tuple[Float32, float]:
    """Return the combination of `rows`, float32, and its squared distance from `base`, or from zero if that is None."""
    first, last = rows[0].start, rows[0].stop
    combined = buffers.empty(last - first, np.float32)
    moved = 0.0
    for start, stop in aligned_blocks(first, last, combiner.block):
        block = combined[start - first : stop - first]
        combiner(rows, start, stop, block)
        moved += squared_norm(block, None if base is None else base.read(start, stop))
    return combined, moved


def squared_norm(values: Float32, origin: Float32 | None = None) -> float:
    """Return the squared Euclidean distance from `origin`, or from zero, added up in float64."""
    wide = values.astype(np.float64)
    if origin is not None:
        wide -= origin
    return float(wide @ wide)


def aligned_blocks(first: int, last: int, block: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of blocks that cover [first, last); they end at multiples of `block`, and at `last`.

    So the blocks of a whole vector are the same in whichever slices they are computed.
    """
    start = first
    while start < last:
        stop = min(start - start % block + block, last)
        yield start, stop
        start = stop


def weighted_sums(rows: Sequence[FlatRow], weights: Float64) -> list[Float32]:
    """Return k weighted sums of n rows, each float32; they are added up in float64.

    Args:
        weights: shape (n, k); rows with a weight of 0 are left out of a sum.
    """
    first, last = rows[0].start, rows[0].stop
    sums = [buffers.empty(last - first, np.float32) for _ in weights.T]
    for start, stop in aligned_blocks(first, last, _SUMS_BLOCK):
        block = np.zeros((len(sums), stop - start))
        for row, row_weights in zip(rows, weights, strict=True):
            values = row.read(start, stop).astype(np.float64)
            for index in np.flatnonzero(row_weights).tolist():
                block[index] += row_weights[index] * values
        for total, block_total in zip(sums, block, strict=True):
            total[start - first : stop - first] = block_total
    return sums


@dataclass(frozen=True)
class WeightedSum:
    """The sum of the rows, each times its weight; `weights` has shape (n,)."""

    block: ClassVar[int] = 65_536

    weights: Float64

    def __call__(self, rows: Sequence[FlatRow], start: int, stop: int, out: Float32) -> None:
        scaled = np.empty_like(out)
        weights = self.weights.astype(np.float32)
        np.multiply(rows[0].read(start, stop), weights[0], out=out)
        for row, weight in zip(rows[1:], weights[1:], strict=True):
            np.multiply(row.read(start, stop), weight, out=scaled)
            np.add(out, scaled, out=out)


@dataclass(frozen=True)
class MeanOfRanks:
    """The trimmed mean: that of the values left without the `cut` least and the `cut` greatest."""

    block: ClassVar[int] = 16_384

    cut: int

    def __call__(self, rows: Sequence[FlatRow], start: int, stop: int, out: Float32) -> None:
        work = np.empty((len(rows) + 1, stop - start), np.float32)
        share = np.float32(1 / (len(rows) - 2 * self.cut))
        pairs = zip(rows, work, strict=False)  # scaled before they are added, so that no sum overflows
        copies = [np.multiply(row.read(start, stop), share, out=copy) for row, copy in pairs]
        kept = drop_extremes(copies, work[-1], self.cut)
        np.copyto(out, kept[0])
        for values in kept[1:]:
            out += values


def coordinate_median(clients: int) -> MeanOfRanks:
    """Return the median of `clients` values (the middle one, or the mean of the middle two) as a trimmed mean."""
    return MeanOfRanks((clients - 1) // 2)
