"""Bulyan: clients chosen by Krum one after the other, then the values nearest the median, coordinate by coordinate.

El Mhamdi, Guerraoui, Rouault 2018, The Hidden Vulnerability of Distributed Learning in Byzantium (ICML).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.coordinatewise import FlatRow
from flstore_core.workloads.methods.geometry import Float32, Float64
from flstore_core.workloads.methods.krum import krum_choice
from flstore_core.workloads.methods.sorting_network import select_ranks


def bulyan_choice(gram: Float64, byzantine: int) -> NDArray[np.intp]:
    """Return the rows of the n - 2 f clients that Krum chooses, each from those that are left, ascending."""
    left = np.arange(len(gram))
    chosen = []
    for _ in range(len(gram) - 2 * byzantine):
        (best,) = krum_choice(gram[np.ix_(left, left)], byzantine, 1)
        chosen.append(left[best])
        left = np.delete(left, best)
    return np.sort(np.array(chosen, np.intp))


@dataclass(frozen=True)
class MeanAroundMedian:
    """The mean of the `kept` values nearest to the median; of two equally near ones the lesser counts.

    In ascending order they lie side by side, so the window starts as the lowest values and moves up while its lowest
    value is farther from the median than the next one above it. Of the values whose ranks differ by multiples of `kept`
    a window has exactly one, hence each of its places can be moved up by itself.
    """

    block: ClassVar[int] = 16_384

    kept: int

    def __call__(self, rows: Sequence[FlatRow], start: int, stop: int, out: Float32) -> None:
        work = np.empty((len(rows) + 1, stop - start), np.float32)
        copies = [row.read(start, stop, copy) for row, copy in zip(rows, work, strict=False)]
        ordered = select_ranks(copies, work[-1], tuple(range(len(rows))))
        with np.errstate(over="ignore"):
            self._move_up(ordered)
        share = np.float32(1 / self.kept)
        np.multiply(ordered[0], share, out=out)
        for values in ordered[1 : self.kept]:
            values *= share
            out += values

    def _move_up(self, ordered: list[Float32]) -> None:
        """Bring the window's values to the first `kept` places."""
        count = len(ordered)
        both = ordered[(count - 1) // 2] + ordered[count // 2]
        ends = np.empty_like(both)
        for low in range(count - self.kept):
            above = ordered[low + self.kept]
            np.add(ordered[low], above, out=ends)
            np.copyto(ordered[low % self.kept], above, where=ends < both)
