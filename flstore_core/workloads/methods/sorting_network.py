"""Order statistics of many columns at once, by a sorting network over whole rows.

The idea. To find the median of ten values for each of a million coordinates, NumPy's sort works on one coordinate
after the other. A sorting network is a fixed list of comparisons (i, j), each of which puts the lesser of two places
first. As the list does not depend on the values, one comparison can be done for all coordinates at once: the minimum
and the maximum of two whole rows, which are vector instructions over memory that lies in the CPU's cache.

The network is Batcher's odd-even merge sort (1968, Sorting Networks and Their Applications, AFIPS), for any number of
rows after Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M.

Example: four rows, here of one column each. Batcher's network has five comparisons; the values 3, 1, 4, 2 become::

    (0, 1)  1 3 4 2     sort both halves
    (2, 3)  1 3 2 4
    (0, 2)  1 3 2 4     the least of all comes first
    (1, 3)  1 3 2 4     the greatest comes last
    (1, 2)  1 2 3 4     what is left in the middle

    >>> [(step.low, step.high) for step in network(4, (0, 1, 2, 3))]
    [(0, 1), (2, 3), (0, 2), (1, 3), (1, 2)]

Fewer comparisons suffice if not all ranks are wanted. Walk the list backwards with the set of places that are needed: a
comparison with neither place in it is dropped, and one with a single place in it computes that half only. For the
least of four (rank 0), the last two comparisons are dropped, and of the others the minima remain::

    >>> [tuple(map(int, step)) for step in network(4, (0,))]
    [(0, 1, 1, 0), (2, 3, 1, 0), (0, 2, 1, 0)]

To cut the extremes off on both sides, the values left need no order among themselves. Then a tournament (the minimum
of all by pairs, then of the winners, and the same for the maximum) can be cheaper than the network; `trimming` takes
the cheaper of the two.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from flstore_core.workloads.methods.geometry import Float32


class Comparison(NamedTuple):
    """Put the lesser of two rows at place `low`, the greater at `high`; a half that nothing depends on is left out."""

    low: int
    high: int
    keep_low: bool
    keep_high: bool


@cache
def network(rows: int, ranks: tuple[int, ...]) -> tuple[Comparison, ...]:
    """Return the comparisons that bring the values of the given `ranks` (0 is the least) of `rows` to their places."""
    needed = set(ranks)
    steps = []
    for low, high in reversed(list(_odd_even_merge_sort(rows))):
        if low in needed or high in needed:
            steps.append(Comparison(low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(steps))


@cache
def trimming(rows: int, cut: int) -> tuple[Comparison, ...]:
    """Return comparisons that bring all but the `cut` least and greatest values to places [cut, rows - cut)."""
    return min(network(rows, tuple(range(cut, rows - cut))), tuple(_tournaments(rows, cut)), key=_cost)


def select_ranks(rows: Sequence[Float32], scratch: Float32, ranks: tuple[int, ...]) -> list[Float32]:
    """Return one row for each of `ranks`, with that rank of every column; overwrite `rows` and `scratch` (one row)."""
    place = _compare(rows, scratch, network(len(rows), ranks))
    return [place[rank] for rank in ranks]


def drop_extremes(rows: Sequence[Float32], scratch: Float32, cut: int) -> list[Float32]:
    """Return what is left of every column, in any order, without its `cut` least and `cut` greatest values.

    Overwrites `rows` and `scratch` (one row).
    """
    return _compare(rows, scratch, trimming(len(rows), cut))[cut : len(rows) - cut]


def _compare(rows: Sequence[Float32], scratch: Float32, steps: Sequence[Comparison]) -> list[Float32]:
    """Return the rows after all comparisons, and one row more with no meaning.

    A minimum cannot be written over a row that the maximum still needs. It goes to the spare row, which then takes that
    place; the row replaced becomes the spare one. So no row is ever copied.
    """
    place = [*rows, scratch]
    spare = len(rows)
    for low, high, keep_low, keep_high in steps:
        if keep_low and keep_high:
            np.minimum(place[low], place[high], out=place[spare])
            np.maximum(place[low], place[high], out=place[high])
            place[low], place[spare] = place[spare], place[low]
        elif keep_low:
            np.minimum(place[low], place[high], out=place[low])
        else:
            np.maximum(place[low], place[high], out=place[high])
    return place


def _cost(steps: Sequence[Comparison]) -> int:
    """Return the number of minima and maxima."""
    return sum(step.keep_low + step.keep_high for step in steps)


def _tournaments(rows: int, cut: int) -> Iterator[Comparison]:
    """Yield comparisons that bring the least of the places left to the first, the greatest to the last, `cut` times.

    In each pass the places left are compared in pairs from both ends, so that all lesser ones lie in the lower half and
    all greater ones in the upper. The least is then looked for in the lower half only, the greatest in the upper.
    """
    for first in range(cut):
        last = rows - 1 - first
        half = (last - first + 1) // 2
        for step in range(half):
            yield Comparison(first + step, last - step, True, True)
        # With an odd number of places the middle one met no other: it belongs to both halves.
        lows = range(first + 1, last - half + 1)
        for place in lows:
            yield Comparison(first, place, place != lows[-1], True)
        highs = range(first + half, last)
        for place in highs:
            yield Comparison(place, last, True, place != highs[-1])


def _odd_even_merge_sort(count: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs of Batcher's network: sorted runs of 1, 2, 4 … places are merged in twos until one is left."""
    merged = 1
    while merged < count:
        gap = merged
        while gap:
            for start in range(gap % merged, count - gap, 2 * gap):
                for low in range(start, min(start + gap, count - gap)):
                    if low // (2 * merged) == (low + gap) // (2 * merged):
                        yield low, low + gap
            gap //= 2
        merged *= 2
