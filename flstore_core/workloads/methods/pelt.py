"""Change points of a series: the split into segments of least squared error, with a price on each change, by PELT.

Killick, Fearnhead and Eckley 2012, Optimal Detection of Changepoints with a Linear Computational Cost, JASA 107:500.

The idea: a split costs the squared deviations of the values from their segments' means, plus a penalty for each
change. The cheapest split of the first t values ends with a segment that starts somewhere, at s, and before s stands
the cheapest split of the first s values. So the best costs follow one from the other::

    best(t) = minimum over s of  best(s) + error(s, t) + penalty

That would be quadratic. PELT ("pruned exact linear time") strikes out starts for good: to cut a segment in two never
raises its error, so a start s whose best(s) + error(s, t) exceeds best(t) can be beaten at any later time too, by
cutting at t.

Example: the series 0, 0, 0, 5, 5, 5 with a penalty of 4. In one segment its error is 6 · 2.5² = 37.5. Cut in the
middle, both segments have no error, and the one change costs 4. So the change begins at place 3::

    >>> change_points(np.array([[0.0], [0.0], [0.0], [5.0], [5.0], [5.0]]), penalty=4.0)
    [3]

With a penalty above 37.5 the change is not worth its price::

    >>> change_points(np.array([[0.0], [0.0], [0.0], [5.0], [5.0], [5.0]]), penalty=38.0)
    []
"""

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64

LEAST_SEGMENT = 2
"""Fewest values of a segment: a single value is an outlier, not a change."""


def change_points(series: Float64, penalty: float) -> list[int]:
    """Return the places where the segments after the first begin, ascending; the empty list if nothing changes.

    The sum of squared deviations from each segment's means, plus `penalty` for each change, is the least possible over
    all splits into segments of at least two values.

    Args:
        series: shape (n, d): d measures observed together, scaled so that their noise has variance 1.
        penalty: price of a change, in the unit of squared deviations.
    """
    total = len(series)
    best = np.full(total + 1, np.inf)
    best[0] = -penalty  # the first segment is no change
    start_of = np.zeros(total + 1, np.intp)
    alive = np.ones(total + 1, np.bool_)
    beaten = np.zeros(0, np.intp)
    sums, squares = _cumulative(series)
    for end in range(LEAST_SEGMENT, total + 1):
        starts = np.flatnonzero(alive[: end - LEAST_SEGMENT + 1])
        # The squared error of values [start, end) is their sum of squares less their squared sum over their number.
        squared_means = ((sums[end] - sums[starts]) ** 2).sum(axis=1) / (end - starts)
        costs = best[starts] + squares[end] - squares[starts] - squared_means
        choice = int(costs.argmin())
        best[end], start_of[end] = costs[choice] + penalty, starts[choice]
        # Cutting at `end` beats these starts, but only from `end + 2` on, where the new segment has two values. Hence
        # they are struck out one step late.
        alive[beaten] = False
        beaten = starts[costs > best[end]]
    return _trace(start_of)


def noise_deviation(values: Float64, floor: float) -> float:
    """Return the standard deviation of a series' noise, from the median size of its steps; at least `floor`.

    A step between two values with independent noise has √2 times the noise's deviation, and the median of absolute
    normal values is 1/1.4826 of their deviation. Changes of level are few among the steps and hardly move the median.

    Args:
        values: shape (n,).
    """
    steps = np.abs(np.diff(values))
    return max(float(1.4826 * np.median(steps) / np.sqrt(2)), floor) if len(steps) else floor


def _cumulative(series: Float64) -> tuple[Float64, Float64]:
    """Return sums of the first values, shape (n + 1, d), and of their squares over all measures, shape (n + 1,).

    The values are centred first, so that no digits are lost to a large mean.
    """
    centred = series - series.mean(axis=0)
    sums = np.vstack([np.zeros(series.shape[1]), centred.cumsum(axis=0)])
    return sums, np.append(0.0, (centred**2).sum(axis=1).cumsum())


def _trace(start_of: NDArray[np.intp]) -> list[int]:
    """Return the starts of the last segment, of the one before it, and so on, ascending, without the first one's 0."""
    starts = []
    start = int(start_of[-1])
    while start > 0:
        starts.append(start)
        start = int(start_of[start])
    return starts[::-1]
