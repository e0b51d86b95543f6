"""Combinations of models coordinate by coordinate, in blocks that stay in the CPU's cache.

Every model is read once, whatever the method; beside the output, memory is a few blocks.
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
    """Combines one block of n rows."""

    block: ClassVar[int]
    """Elements of a block: as many as keep what is worked on within the CPU's second-level cache."""

    def __call__(self, rows: Sequence[FlatRow], start: int, stop: int, out: Float32) -> None:
        """Fill `out` with the combination of flat elements [start, stop)."""


def combine_rows(rows: Sequence[FlatRow], combiner: Combiner, base: FlatRow | None) -> tuple[Float32, float]:
    """Return the combination of `rows`, float32, and its squared distance from `base`, or from zero without one."""
    first, last = rows[0].start, rows[0].stop
    combined = buffers.empty(last - first, np.float32)
    steps, moved = np.empty(combiner.block, np.float32), 0.0
    for start, stop in aligned(first, last, combiner.block):
        block = combined[start - first : stop - first]
        combiner(rows, start, stop, block)
        step = block if base is None else np.subtract(block, base.read(start, stop), out=steps[: stop - start])
        moved += float(np.dot(step, step))
    return combined, moved


def aligned(first: int, last: int, block: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of blocks that cover [first, last) and change at multiples of `block`, wherever it is cut."""
    start = first
    while start < last:
        stop = min(start - start % block + block, last)
        yield start, stop
        start = stop


def weighted_sums(rows: Sequence[FlatRow], weights: Float64) -> list[Float32]:
    """Return k sums of n rows by `weights`, shape (n, k), each float32, added up in float64."""
    first, last = rows[0].start, rows[0].stop
    sums = [buffers.empty(last - first, np.float32) for _ in weights.T]
    for start, stop in aligned(first, last, _SUMS_BLOCK):
        block = np.zeros((len(sums), stop - start))
        for row, parts in zip(rows, weights, strict=True):
            values = row.read(start, stop).astype(np.float64)
            for index in np.flatnonzero(parts).tolist():
                block[index] += parts[index] * values
        for total, found in zip(sums, block, strict=True):
            total[start - first : stop - first] = found
    return sums


@dataclass(frozen=True)
class WeightedSum:
    """The sum by `weights`, shape (n,)."""

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
    """The mean of the values that are left when the `cut` least and the `cut` greatest are dropped."""

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
    """Return the median of `clients` values: the middle one, or the mean of the middle two."""
    return MeanOfRanks((clients - 1) // 2)
