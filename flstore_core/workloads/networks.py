"""Order statistics of many columns at once, by a sorting network over whole rows.

Sorting ten numbers a million times is slow one column at a time; a network (Batcher 1968, odd-even merge sort) does
the same comparisons for every column alike, as vectorised minima and maxima of rows that lie in the CPU's cache.
Comparisons that no wanted rank depends on are left out.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from flstore_core.codec import Float32


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


def select_ranks(rows: Sequence[Float32], scratch: Float32, ranks: tuple[int, ...]) -> list[Float32]:
    """Return the rows of the wanted `ranks`, column by column, overwriting `rows` and `scratch` (one row)."""
    place = [*rows, scratch]
    spare = len(rows)
    for low, high, keep_low, keep_high in network(len(rows), ranks):
        if keep_low and keep_high:
            np.minimum(place[low], place[high], out=place[spare])
            np.maximum(place[low], place[high], out=place[high])
            place[low], place[spare] = place[spare], place[low]
        elif keep_low:
            np.minimum(place[low], place[high], out=place[low])
        else:
            np.maximum(place[low], place[high], out=place[high])
    return [place[rank] for rank in ranks]


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
