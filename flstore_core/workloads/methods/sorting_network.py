"""Order statistics of many columns at once, by a sorting network over whole rows.

Sorting ten numbers a million times is slow one column at a time; a network (Batcher 1968, odd-even merge sort) does
the same comparisons for every column alike, as vectorised minima and maxima of rows that lie in the CPU's cache.
Comparisons that no wanted rank depends on are left out.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from flstore_core.workloads.methods.geometry import Float32


class Comparison(NamedTuple):
    """Put the lesser of two rows first; one of the two is left as it is where nothing depends on it."""

    low: int
    high: int
    keep_low: bool
    keep_high: bool


@cache
def network(rows: int, ranks: tuple[int, ...]) -> tuple[Comparison, ...]:
    """Return the comparisons that bring the wanted `ranks` (0 is the least) of `rows` values to their places."""
    needed = set(ranks)
    steps = []
    for low, high in reversed(list(_odd_even_merge_sort(rows))):
        if low in needed or high in needed:
            steps.append(Comparison(low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(steps))


@cache
def trimming(rows: int, cut: int) -> tuple[Comparison, ...]:
    """Return comparisons that leave all but the `cut` least and greatest of `rows` values at places [cut, rows - cut).

    Those need no order among themselves, so few values are taken out by tournaments, many by the sorting network.
    """
    return min(network(rows, tuple(range(cut, rows - cut))), tuple(_tournaments(rows, cut)), key=_cost)


def select_ranks(rows: Sequence[Float32], scratch: Float32, ranks: tuple[int, ...]) -> list[Float32]:
    """Return the rows of the wanted `ranks`, column by column, overwriting `rows` and `scratch` (one row)."""
    place = _compared(rows, scratch, network(len(rows), ranks))
    return [place[rank] for rank in ranks]


def drop_extremes(rows: Sequence[Float32], scratch: Float32, cut: int) -> list[Float32]:
    """Return rows of what is left, in any order, when the `cut` least and greatest values of each column are dropped.

    Overwrites `rows` and `scratch` (one row).
    """
    return _compared(rows, scratch, trimming(len(rows), cut))[cut : len(rows) - cut]


def _compared(rows: Sequence[Float32], scratch: Float32, steps: Sequence[Comparison]) -> list[Float32]:
    """Return the rows after all comparisons, and one more that holds nothing of use."""
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
    return sum(step.keep_low + step.keep_high for step in steps)


def _tournaments(rows: int, cut: int) -> Iterator[Comparison]:
    """Yield comparisons that bring, `cut` times, the least value left to the first place left, the greatest to the
    last.
    """
    for first in range(cut):
        last = rows - 1 - first
        half = (last - first + 1) // 2
        for step in range(half):
            yield Comparison(first + step, last - step, True, True)
        lows = range(first + 1, last - half + 1)
        for place in lows:
            yield Comparison(first, place, place != lows[-1], True)
        highs = range(first + half, last)
        for place in highs:
            yield Comparison(place, last, True, place != highs[-1])


def _odd_even_merge_sort(count: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs of Batcher's network for any `count`, after Knuth, TAOCP 3, 5.2.2 M."""
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
