"""Norm clipping and Gaussian noise, with what they promise: (ε, δ) of one release.

Clipped, equally weighted means are McMahan et al. 2018, Learning Differentially Private Recurrent Language Models
(ICLR); ε of the Gaussian mechanism is exact, by Balle and Wang 2018, Improving the Gaussian Mechanism (ICML).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flstore_core.workloads.methods.coordinatewise import FlatRow, WeightedSum
from flstore_core.workloads.methods.geometry import Float32, Float64, norms

_MOST_EPSILON = 1e9


def clipping_weights(gram: Float64, clip: float) -> Float64:
    """Return the weights, shape (n,), by which the mean of deltas no longer than `clip` is a sum of the deltas."""
    lengths = norms(gram)
    shortened = np.divide(clip, lengths, out=np.ones(len(gram)), where=lengths > clip)
    return np.asarray(shortened / len(gram))


def gaussian_epsilon(multiplier: float, delta: float) -> float:
    """Return the least ε for which noise of `multiplier` sensitivities is (ε, δ)-differentially private."""
    low, high = 0.0, 1.0
    while _gaussian_delta(multiplier, high) > delta and high < _MOST_EPSILON:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _gaussian_delta(multiplier, middle) > delta else (low, middle)
    return high


@dataclass(frozen=True)
class NoisySum:
    """The sum by `weights`, shape (n,), and Gaussian noise that follows from `seed` and the place of each element.

    Noise is drawn block by block of the whole flat vector, each block with a generator of its own, so it is the same
    however the vector is cut into slices.
    """

    block: ClassVar[int] = WeightedSum.block

    weights: Float64
    deviation: float
    """Standard deviation of the noise."""
    seed: int

    def __call__(self, rows: Sequence[FlatRow], start: int, stop: int, out: Float32) -> None:
        WeightedSum(self.weights)(rows, start, stop, out)
        if self.deviation:
            out += np.float32(self.deviation) * gaussian_noise(self.seed, start, stop, self.block)


def gaussian_noise(seed: int, start: int, stop: int, block: int) -> Float32:
    """Return standard normal noise for flat elements [start, stop) of one block, float32."""
    number = start // block
    generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, number, 0]))
    first = number * block
    return generator.standard_normal(stop - first, np.float32)[start - first :]


def _gaussian_delta(multiplier: float, epsilon: float) -> float:
    """Return δ of noise of `multiplier` sensitivities for a given ε (Balle and Wang 2018, theorem 8)."""
    half = 1 / (2 * multiplier)
    return math.exp(_log_normal(half - epsilon * multiplier)) - math.exp(
        min(0.0, epsilon + _log_normal(-half - epsilon * multiplier))
    )


def _log_normal(value: float) -> float:
    """Return the logarithm of the standard normal distribution function, far out by its asymptotic series."""
    if value > -25:
        return math.log(math.erfc(-value / math.sqrt(2)) / 2)
    square = value * value
    return -square / 2 - math.log(-value * math.sqrt(2 * math.pi)) + math.log1p(-1 / square + 3 / square**2)
