"""Rank correlation: Spearman 1904, and Kendall's partial one (1942, Biometrika 32), with a third measure held fixed."""

import math

import numpy as np

from flstore_core.workloads.methods.geometry import Float64

_FIXED = 1 - 1e-9
"""Correlation from which on one measure follows from the other."""


def ranks(values: Float64) -> Float64:
    """Return ranks from 1, equal values sharing the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - (counts - 1) / 2)[group])


def rank_correlation(first: Float64, second: Float64) -> float | None:
    """Return Spearman's rank correlation; None where either does not vary."""
    ranked = [ranks(first), ranks(second)]
    spread = [float(each.std()) for each in ranked]
    if not all(spread):
        return None
    centred = [each - each.mean() for each in ranked]
    return float(np.clip((centred[0] * centred[1]).mean() / (spread[0] * spread[1]), -1.0, 1.0))


def partial_correlation(xy: float | None, xz: float | None, yz: float | None) -> float | None:
    """Return the correlation of x and y with z held fixed; None where one is unknown, or follows from z."""
    if xy is None or xz is None or yz is None or max(abs(xz), abs(yz)) > _FIXED:
        return None
    return float(np.clip((xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2)), -1.0, 1.0))
