"""Quantiles of values that lie in several places, from a small summary of each that merges exactly.

A summary has, for every stretch of values that agree in the upper half of their float32 bits, how many there are, and
between what they lie: their own least and greatest, or the stretch's bounds where values are many. Summaries of parts
merge to that of the whole, so a quantile is the same however values were cut. It is within 1/128 of its magnitude,
mostly far nearer, and exact for extremes, zeros and tensors of one value; subnormal values are told less exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float32, Float64

MANY = 1 << 15
"""From so many values on, `summarize` need not look at each stretch's own least and greatest."""

_STRETCHES = 1 << 16
_NEGATIVE = 1 << 15
"""The first stretch of values below zero."""
_BLOCK = 1 << 18
"""Values counted at once: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Summary:
    """Stretches of ascending values, each of shape (stretches,)."""

    low: Float32
    high: Float32
    count: NDArray[np.int64]


def summarize(values: Float32, *, many: bool) -> Summary:
    """Return the summary of `values`, shape (n,); `many` must be the same for all parts of one whole.

    With `many`, values are counted and not sorted, and those nearer to zero than 2**-133 count as zero.
    """
    return _counted(values) if many else _sorted(values)


def _sorted(values: Float32) -> Summary:
    ordered = np.sort(_plain(values))
    starts = np.flatnonzero(np.diff(_upper_half(ordered), prepend=-1))
    ends = np.append(starts[1:], len(ordered))
    return (
        Summary(ordered[starts], ordered[ends - 1], ends - starts) if len(ordered) else Summary(ordered, ordered, ends)
    )


def _counted(values: Float32) -> Summary:
    count = np.zeros(_STRETCHES, np.int64)
    for start in range(0, len(values), _BLOCK):
        block = np.ascontiguousarray(values[start : start + _BLOCK], "<f4")
        count += np.bincount(block.view("<u2")[1::2], minlength=_STRETCHES)
    count[0] += count[_NEGATIVE]
    count[_NEGATIVE] = 0
    found = np.flatnonzero(count)
    cut = np.searchsorted(found, _NEGATIVE)
    rising = np.concatenate([found[cut:][::-1], found[:cut]])
    near, far = _value(rising << 16), _value((rising << 16) | 0xFFFF)
    far[rising == 0] = 0
    negative = rising >= _NEGATIVE
    return Summary(np.where(negative, far, near), np.where(negative, near, far), count[rising])


def merge(parts: Sequence[Summary]) -> Summary:
    """Return the summary of the whole from those of its parts, of which there is at least one."""
    if len(parts) == 1:
        return parts[0]
    low, high, count = (np.concatenate([getattr(part, name) for part in parts]) for name in ("low", "high", "count"))
    order = np.argsort(low, kind="stable")
    low, high, count = low[order], high[order], count[order]
    starts = np.flatnonzero(np.diff(_upper_half(low), prepend=-1))
    return Summary(low[starts], np.maximum.reduceat(high, starts), np.add.reduceat(count, starts))


def quantile(summary: Summary, shares: Float64, least: float, greatest: float) -> Float64:
    """Return the quantiles at `shares` of 1, interpolated linearly; within a stretch as if evenly spread.

    Args:
        least: the least of all values; with `greatest` what the outermost stretches end at.
    """
    known = _within(summary, least, greatest)
    places = shares * (known.count.sum() - 1)
    below, above = _at(known, np.stack([np.floor(places), np.ceil(places)]))
    return np.asarray(below + (above - below) * (places % 1))


def _within(summary: Summary, least: float, greatest: float) -> Summary:
    low, high = summary.low.copy(), summary.high.copy()
    low[0], high[-1] = least, greatest
    if summary.count[-1] == 1:
        low[-1] = greatest  # a value alone in its stretch is told by its low end
    return Summary(low, high, summary.count)


def _at(summary: Summary, ranks: Float64) -> Float64:
    """Return the values of the given ranks, of any shape, 0 being the least."""
    upto = np.cumsum(summary.count)
    rows = np.searchsorted(upto, ranks, side="right")
    count = summary.count[rows]
    share = (ranks - (upto[rows] - count)) / np.maximum(count - 1, 1)
    low, high = summary.low[rows].astype(np.float64), summary.high[rows].astype(np.float64)
    return np.asarray(low + (high - low) * share)


def _plain(values: Float32) -> Float32:
    """Return a copy in which -0.0 equals 0.0 in its bits too."""
    return values + np.float32(0)


def _upper_half(values: Float32) -> NDArray[np.int64]:
    return (np.ascontiguousarray(values).view(np.uint32) >> 16).astype(np.int64)


def _value(bits: NDArray[np.int64]) -> Float32:
    return bits.astype(np.uint32).view(np.float32)
