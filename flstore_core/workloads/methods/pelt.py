"""Change points of a series: the segments of least squared error, with a price on each, found by PELT.

Killick, Fearnhead and Eckley 2012, Optimal Detection of Changepoints with a Linear Computational Cost, JASA.
"""

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64

LEAST_SEGMENT = 2
"""A value alone is an outlier, not a change."""


def change_points(series: Float64, penalty: float) -> list[int]:
    """Return where the segments after the first begin, ascending; nothing if nothing changes.

    The sum of squared deviations from each segment's means, plus `penalty` for each change, is the least possible over
    all partitions into segments of at least two.

    Args:
        series: shape (n, d): d measures observed together, scaled so that their noise has variance 1.
    """
    total = len(series)
    best = np.full(total + 1, np.inf)
    best[0] = -penalty
    previous = np.zeros(total + 1, np.intp)
    alive = np.ones(total + 1, np.bool_)
    hopeless = np.zeros(0, np.intp)
    sums, squares = _cumulated(series)
    for end in range(LEAST_SEGMENT, total + 1):
        starts = np.flatnonzero(alive[: end - LEAST_SEGMENT + 1])
        means = ((sums[end] - sums[starts]) ** 2).sum(axis=1) / (end - starts)
        priced = best[starts] + squares[end] - squares[starts] - means
        choice = int(priced.argmin())
        best[end], previous[end] = priced[choice] + penalty, starts[choice]
        alive[hopeless] = False
        hopeless = starts[priced > best[end]]  # one step late: a segment from `end` on needs two points
    return _traced(previous)


def noise(values: Float64, floor: float) -> float:
    """Return the standard deviation of a series' noise from the median size of its steps; `floor` at least.

    Changes of level are few among the steps and hardly move it.
    """
    steps = np.abs(np.diff(values))
    return max(float(1.4826 * np.median(steps) / np.sqrt(2)), floor) if len(steps) else floor


def _cumulated(series: Float64) -> tuple[Float64, Float64]:
    centred = series - series.mean(axis=0)
    sums = np.vstack([np.zeros(series.shape[1]), centred.cumsum(axis=0)])
    return sums, np.append(0.0, (centred**2).sum(axis=1).cumsum())


def _traced(previous: NDArray[np.intp]) -> list[int]:
    found = []
    end = int(previous[-1])
    while end > 0:
        found.append(end)
        end = int(previous[end])
    return found[::-1]
