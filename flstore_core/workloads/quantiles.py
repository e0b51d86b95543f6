"""Quantiles of values that lie in several places, from a small summary of each that merges exactly.

A summary has, for every stretch of values that agree in the upper half of their float32 bits, how many there are, and
the least and greatest. Summaries of parts merge to that of the whole, so a quantile is the same however values were
cut. It is within 1/128 of its magnitude, mostly far nearer, and exact for extremes, constants and zeros.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flstore_core.codec import Float32
from flstore_core.workloads.geometry import Float64

_STRETCHES = 1 << 16
_BLOCK = 1 << 18
"""Values counted at once: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Summary:
    """Stretches of ascending values, each of shape (stretches,)."""

    low: Float32
    high: Float32
    count: NDArray[np.int64]


def summarize(values: Float32) -> Summary:
    """Return the summary of `values`, shape (n,)."""
    return _counted(values) if len(values) >= _STRETCHES else _sorted(values)


def _sorted(values: Float32) -> Summary:
    ordered = np.sort(_plain(values))
    starts = np.flatnonzero(np.diff(_upper_half(ordered), prepend=-1))
    ends = np.append(starts[1:], len(ordered))
    return (
        Summary(ordered[starts], ordered[ends - 1], ends - starts) if len(ordered) else Summary(ordered, ordered, ends)
    )


def _counted(values: Float32) -> Summary:
    """Return the summary without sorting: three times as fast, once values are many more than stretches."""
    low, high = np.full(_STRETCHES, np.inf, np.float32), np.full(_STRETCHES, -np.inf, np.float32)
    count = np.zeros(_STRETCHES, np.int64)
    for start in range(0, len(values), _BLOCK):
        block = _plain(values[start : start + _BLOCK])
        stretches = _upper_half(block)
        count += np.bincount(stretches, minlength=_STRETCHES)
        np.minimum.at(low, stretches, block)
        np.maximum.at(high, stretches, block)
    found = np.flatnonzero(count)
    order = found[np.argsort(low[found])]
    return Summary(low[order], high[order], count[order])


def merge(parts: Summary) -> Summary:
    """Return the stretches of several summaries, one after the other, as one summary."""
    order = np.argsort(parts.low, kind="stable")
    low, high, count = parts.low[order], parts.high[order], parts.count[order]
    starts = np.flatnonzero(np.diff(_upper_half(low), prepend=-1))
    if not len(starts):
        return parts
    return Summary(low[starts], np.maximum.reduceat(high, starts), np.add.reduceat(count, starts))


def quantile(summary: Summary, shares: Float64) -> Float64:
    """Return the quantiles at `shares` of 1, interpolated linearly; within a stretch as if evenly spread."""
    places = shares * (summary.count.sum() - 1)
    below, above = _at(summary, np.floor(places)), _at(summary, np.ceil(places))
    return np.asarray(below + (above - below) * (places % 1))


def _at(summary: Summary, ranks: Float64) -> Float64:
    """Return the values of the given ranks, 0 being the least."""
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
