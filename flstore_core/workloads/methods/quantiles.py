"""Quantiles of values that lie in several places, from a small sketch of each part; the sketches merge without loss.

The idea: a float32 has 32 bits, and the upper 16 of them (sign, exponent and 7 bits of the fraction) order values by
stretches that are 1/128 of their magnitude wide, at the most. A sketch counts the values of each stretch, and keeps
between which bounds they lie. Counts add up and bounds combine, so the sketch of a whole does not depend on how the
values were cut into parts. A quantile is then read off the counts: the stretch that holds its rank is found, and the
place in the stretch is interpolated as if its values were evenly spread.

Example: a shard holds 1.0, 1.001 and 3.0, another 1.002. From 1 to 1.0078125 is one stretch, since 1 + 1/128 is the
next value whose lower 16 bits are zero; 3.0 lies in another::

    >>> left = sketch(np.array([1.0, 3.0, 1.001], np.float32), many=False)
    >>> right = sketch(np.array([1.002], np.float32), many=False)
    >>> whole = merge([left, right])
    >>> whole.count.tolist(), whole.low.tolist(), whole.high.round(3).tolist()
    ([3, 1], [1.0, 3.0], [1.0019999742507935, 3.0])

The median of the four values is half way between the ranks 1 and 2 (0 is the least), which both lie in the first
stretch, taken as 1.0, 1.001 and 1.002::

    >>> quantile(whole, np.array([0.0, 0.5, 1.0]), 1.0, 3.0).round(4).tolist()
    [1.0, 1.0015, 3.0]

The error is at most 1/128 of a quantile's magnitude, and mostly far smaller. There is none for extremes, for zeros
and for values that are all equal. Subnormal values (below 1.2e-38) have fewer bits and are found less precisely.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float32, Float64

MANY = 1 << 15
"""Number of values from which on it is faster to count them by stretches than to sort them."""

_STRETCHES = 1 << 16
_NEGATIVE = 1 << 15
"""The first stretch of values below zero: the sign is the uppermost bit."""
_BLOCK = 1 << 18
"""Values counted at once: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Sketch:
    """Stretches of values in ascending order, without empty ones; arrays of shape (stretches,)."""

    low: Float32
    """Lower bound of each stretch's values: the least of them, or the stretch's own bound."""
    high: Float32
    """Upper bound, likewise."""
    count: NDArray[np.int64]
    """Number of values."""


def sketch(values: Float32, *, many: bool) -> Sketch:
    """Return the sketch of `values`, shape (n,).

    Args:
        many: count the values instead of sorting them. Bounds are then those of the stretches, and values within
            2**-133 of zero count as zero. All parts of a whole must be sketched alike.
    """
    return _counted(values) if many else _sorted(values)


def _sorted(values: Float32) -> Sketch:
    """Return the sketch, its bounds the least and the greatest value of each stretch."""
    ordered = np.sort(values + np.float32(0))  # -0.0 + 0.0 is 0.0, also in its bits
    starts = np.flatnonzero(np.diff(_upper_half(ordered), prepend=-1))
    ends = np.append(starts, len(ordered))[1:]
    return Sketch(ordered[starts], ordered[ends - 1], ends - starts)


def _counted(values: Float32) -> Sketch:
    """Return the sketch, its bounds those of the stretches; values are read once, and none is moved."""
    count = np.zeros(_STRETCHES, np.int64)
    for start in range(0, len(values), _BLOCK):
        block = np.ascontiguousarray(values[start : start + _BLOCK], "<f4")
        count += np.bincount(block.view("<u2")[1::2], minlength=_STRETCHES)
    count[0] += count[_NEGATIVE]  # -0.0 is 0.0
    count[_NEGATIVE] = 0
    stretches = np.flatnonzero(count)
    # Bits of negative values grow with their magnitude: in reverse order, and before the others, stretches ascend.
    positive = np.searchsorted(stretches, _NEGATIVE)
    ascending = np.concatenate([stretches[positive:][::-1], stretches[:positive]])
    near, far = _value(ascending << 16), _value((ascending << 16) | 0xFFFF)  # bounds nearer to and farther from zero
    far[ascending == 0] = 0
    negative = ascending >= _NEGATIVE
    return Sketch(np.where(negative, far, near), np.where(negative, near, far), count[ascending])


def merge(parts: Sequence[Sketch]) -> Sketch:
    """Return the sketch of a whole from those of its parts, of which there is at least one."""
    if len(parts) == 1:
        return parts[0]
    low, high, count = (np.concatenate([getattr(part, name) for part in parts]) for name in ("low", "high", "count"))
    order = np.argsort(low, kind="stable")
    low, high, count = low[order], high[order], count[order]
    starts = np.flatnonzero(np.diff(_upper_half(low), prepend=-1))
    return Sketch(low[starts], np.maximum.reduceat(high, starts), np.add.reduceat(count, starts))


def quantile(whole: Sketch, shares: Float64, least: float, greatest: float) -> Float64:
    """Return quantiles, interpolated linearly between the values of neighbouring ranks (Hyndman and Fan's type 7).

    Args:
        whole: the sketch of all values, of which there is at least one.
        shares: the quantiles' places, from 0 to 1, of any shape.
        least: the least of all values, where the first stretch begins.
        greatest: the greatest of all values, where the last stretch ends.
    """
    bounded = _bounded(whole, least, greatest)
    ranks = shares * (bounded.count.sum() - 1)
    below, above = _values_at(bounded, np.stack([np.floor(ranks), np.ceil(ranks)]))
    return np.asarray(below + (above - below) * (ranks % 1))


def _bounded(whole: Sketch, least: float, greatest: float) -> Sketch:
    """Return the sketch with the known extremes as the outermost bounds."""
    low, high = whole.low.copy(), whole.high.copy()
    low[0], high[-1] = least, greatest
    if whole.count[-1] == 1:
        low[-1] = greatest  # `_values_at` takes the lower bound for a value alone in its stretch
    return Sketch(low, high, whole.count)


def _values_at(bounded: Sketch, ranks: Float64) -> Float64:
    """Return the values of the given ranks, of any shape; rank 0 is the least."""
    cumulative = np.cumsum(bounded.count)
    stretches = np.searchsorted(cumulative, ranks, side="right")
    count = bounded.count[stretches]
    share = (ranks - (cumulative[stretches] - count)) / np.maximum(count - 1, 1)
    low, high = bounded.low[stretches].astype(np.float64), bounded.high[stretches].astype(np.float64)
    return np.asarray(low + (high - low) * share)


def _upper_half(values: Float32) -> NDArray[np.int64]:
    """Return the number of each value's stretch: its upper 16 bits."""
    return (np.ascontiguousarray(values).view(np.uint32) >> 16).astype(np.int64)


def _value(bits: NDArray[np.int64]) -> Float32:
    """Return the float32 of each pattern of 32 bits."""
    return bits.astype(np.uint32).view(np.float32)
