"""Bulyan: Krum chooses clients one after the other, then each coordinate is the mean of the values nearest its median.

El Mhamdi, Guerraoui, Rouault 2018, The Hidden Vulnerability of Distributed Learning in Byzantium (ICML).

Of n clients, f of them Byzantine, Krum chooses θ = n - 2f; of their values in a coordinate, the β = θ - 2f nearest to
the median are averaged. In ascending order these β values lie side by side, so only windows of β neighbours need be
compared, and no distances sorted.

Example: five values of a coordinate, the three nearest to their median kept. They are 0, 5, 6, 7 and 100, the median
is 6, and 5, 6, 7 are nearest. The window starts as 0, 5, 6. It moves up if its lowest value is farther from the
median than the next value above it: 0 is 6 away and 7 is 1 away, so the window becomes 5, 6, 7. Now 5 is 1 away and
100 is 94 away, and it stays::

    >>> class Row(list):
    ...     def read(self, start, stop, out):
    ...         out[:] = self[start:stop]
    ...         return out
    >>> mean = np.empty(1, np.float32)
    >>> MeanAroundMedian(3)([Row([6]), Row([100]), Row([5]), Row([0]), Row([7])], 0, 1, mean)
    >>> mean.tolist()
    [6.0]
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
    """Return the rows of the n - 2f clients that Krum chooses, each from those not yet chosen, ascending.

    Args:
        gram: inner products of the clients' deltas, shape (n, n).
        byzantine: f, how many clients may be Byzantine.
    """
    remaining = np.arange(len(gram))
    chosen = []
    for _ in range(len(gram) - 2 * byzantine):
        (best,) = krum_choice(gram[np.ix_(remaining, remaining)], byzantine, 1)
        chosen.append(remaining[best])
        remaining = np.delete(remaining, best)
    return np.sort(np.array(chosen, np.intp))


@dataclass(frozen=True)
class MeanAroundMedian:
    """The mean of the `kept` values nearest to the median; of two equally near ones the lesser counts."""

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
        """Bring the window's values to the first `kept` places.

        A value and the one `kept` ranks above it are never in a window together, and one of the two always is. So
        moving up replaces the lower by the higher, in the same place, and columns move independently of each other.
        Whether the higher is nearer to the median m is decided without distances: low + high < 2 m.
        """
        count = len(ordered)
        both = ordered[(count - 1) // 2] + ordered[count // 2]  # 2 m: the middle value twice, or the middle two
        ends = np.empty_like(both)
        for low in range(count - self.kept):
            above = ordered[low + self.kept]
            np.add(ordered[low], above, out=ends)
            np.copyto(ordered[low % self.kept], above, where=ends < both)
