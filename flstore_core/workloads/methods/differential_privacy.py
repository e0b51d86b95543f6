"""Differential privacy of one release: norm clipping, Gaussian noise, and the (ε, δ) that they guarantee.

Clipped, equally weighted means are McMahan et al. 2018, Learning Differentially Private Recurrent Language Models
(ICLR). The ε of the Gaussian mechanism is exact, by Balle and Wang 2018, Improving the Gaussian Mechanism (ICML).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flstore_core.workloads.methods.coordinatewise import FlatRow, WeightedSum
from flstore_core.workloads.methods.geometry import Float32, Float64, norms

_MOST_EPSILON = 1e9
"""Where the search for ε ends: next to no noise protects nothing."""


def clipping_weights(gram: Float64, clip: float) -> Float64:
    """Return the weights, shape (n,), of deltas in the mean of the deltas clipped to length `clip`.

    Args:
        gram: inner products of the deltas, shape (n, n).
    """
    lengths = norms(gram)
    factors = np.divide(clip, lengths, out=np.ones(len(gram)), where=lengths > clip)
    return np.asarray(factors / len(gram))


def gaussian_epsilon(multiplier: float, delta: float) -> float:
    """Return the least ε for which Gaussian noise is (ε, δ)-differentially private, found by bisection.

    Args:
        multiplier: standard deviation of the noise, over the sensitivity of what is released.
        delta: δ, between 0 and 1.
    """
    low, high = 0.0, 1.0
    while _gaussian_delta(multiplier, high) > delta and high < _MOST_EPSILON:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _gaussian_delta(multiplier, middle) > delta else (low, middle)
    return high


@dataclass(frozen=True)
class NoisySum:
    """A weighted sum plus Gaussian noise, which depends on `seed` and each element's place only.

    Each block of the whole flat vector has a random generator of its own, so the noise is the same in whichever slices
    the vector is cut.
    """

    block: ClassVar[int] = WeightedSum.block

    weights: Float64
    """Shape (n,)."""
    deviation: float
    """Standard deviation of the noise."""
    seed: int

    def __call__(self, rows: Sequence[FlatRow], start: int, stop: int, out: Float32) -> None:
        WeightedSum(self.weights)(rows, start, stop, out)
        if self.deviation:
            out += np.float32(self.deviation) * gaussian_noise(self.seed, start, stop, self.block)


def gaussian_noise(seed: int, start: int, stop: int, block: int) -> Float32:
    """Return standard normal noise, float32, for flat elements [start, stop), which lie within one block."""
    number = start // block
    generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, number, 0]))
    first = number * block
    return generator.standard_normal(stop - first, np.float32)[start - first :]


def _gaussian_delta(multiplier: float, epsilon: float) -> float:
    """Return the least δ for a given ε: Φ(1/2m - εm) - e^ε Φ(-1/2m - εm), where m is `multiplier` (theorem 8)."""
    half = 1 / (2 * multiplier)
    return math.exp(_log_normal(half - epsilon * multiplier)) - math.exp(
        min(0.0, epsilon + _log_normal(-half - epsilon * multiplier))
    )


def _log_normal(value: float) -> float:
    """Return log Φ(value), Φ the standard normal distribution function; by its asymptotic series far below 0."""
    if value > -25:
        return math.log(math.erfc(-value / math.sqrt(2)) / 2)
    square = value * value
    return -square / 2 - math.log(-value * math.sqrt(2 * math.pi)) + math.log1p(-1 / square + 3 / square**2)
