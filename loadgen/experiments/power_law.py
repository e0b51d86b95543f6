"""Fits a power law by least squares on logarithms.

Example: the points (1, 3), (2, 6) and (4, 12) lie on y = 3 · x ** 1: factor 3, exponent 1, R² 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PowerLaw:
    """y = factor · x ** exponent."""

    factor: float
    exponent: float
    r2: float
    """Share of the variance of log y that the law explains; 1 if y does not vary."""


def power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    """Return the law that fits best; both sequences are positive and of one length, at least 2."""
    across, up = np.log(np.asarray(x, np.float64)), np.log(np.asarray(y, np.float64))
    exponent, offset = np.polyfit(across, up, 1)
    left, whole = np.sum((up - exponent * across - offset) ** 2), np.sum((up - up.mean()) ** 2)
    r2 = 1.0 - float(left / whole) if whole > 1e-12 else 1.0
    return PowerLaw(float(np.exp(offset)), float(exponent), r2)
