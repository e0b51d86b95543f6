"""Combinations of models coordinate by coordinate, in blocks that stay in the CPU's cache.

Every model is read once, whatever the method; beside the output, memory is a few blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from flstore_core.codec import FlatView, Float32
from flstore_core.workloads.geometry import Float64
from flstore_core.workloads.networks import select_ranks


class Combiner(Protocol):
    """Combines one block of n rows."""

    block: ClassVar[int]
    """Elements of a block: as many as keep what is worked on within the CPU's second-level cache."""

    def __call__(self, rows: Sequence[FlatView], start: int, stop: int, out: Float32) -> None:
        """Fill `out` with the combination of flat elements [start, stop)."""


def combine_rows(rows: Sequence[FlatView], combiner: Combiner, base: FlatView | None) -> tuple[Float32, float]:
    """Return the combination of `rows`, float32, and its squared distance from `base`, or from zero without one."""
    first, last = rows[0].start, rows[0].stop
    combined = np.empty(last - first, np.float32)
    moved = 0.0
    for start in range(first, last, combiner.block):
        stop = min(start + combiner.block, last)
        block = combined[start - first : stop - first]
        combiner(rows, start, stop, block)
        step = block if base is None else block - base.read(start, stop)
        moved += float(np.dot(step, step))
    return combined, moved


@dataclass(frozen=True)
class WeightedMean:
    """The mean by `weights`, shape (n,)."""

    block: ClassVar[int] = 65_536

    weights: Float64

    def __call__(self, rows: Sequence[FlatView], start: int, stop: int, out: Float32) -> None:
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

    def __call__(self, rows: Sequence[FlatView], start: int, stop: int, out: Float32) -> None:
        work = np.empty((len(rows) + 1, stop - start), np.float32)
        copies = [row.read(start, stop, copy) for row, copy in zip(rows, work, strict=False)]
        kept = select_ranks(copies, work[-1], tuple(range(self.cut, len(rows) - self.cut)))
        np.multiply(kept[0], np.float32(1 / len(kept)), out=out)
        for values in kept[1:]:
            values *= np.float32(1 / len(kept))
            out += values


def coordinate_median(clients: int) -> MeanOfRanks:
    """Return the median of `clients` values: the middle one, or the mean of the middle two."""
    return MeanOfRanks((clients - 1) // 2)
