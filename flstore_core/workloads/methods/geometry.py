"""Lengths, angles and distances of updates, from their Gram matrix alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

RESOLUTION = 1e-7
"""Squared length, relative to the vectors', that inner products summed in float32 blocks cannot tell from zero."""


def norms(gram: Float64) -> Float64:
    """Return the lengths of the n vectors, shape (n,); of a stack of Gram matrices, shape (…, n)."""
    return np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), 0.0))


def cosines(gram: Float64) -> Float64:
    """Return cosine similarities, shape (n, n); those of a zero vector are 0, its own included.

    Takes stacks of Gram matrices too, shape (…, n, n).
    """
    lengths = norms(gram)
    inverted = inverse(lengths)
    similar = gram * inverted[..., :, None] * inverted[..., None, :]
    diagonal = np.arange(gram.shape[-1])
    similar[..., diagonal, diagonal] = lengths > 0
    return np.clip(similar, -1.0, 1.0)


def squared_distances(gram: Float64) -> Float64:
    """Return squared Euclidean distances, shape (n, n); 0 below the resolution of `gram`."""
    both = np.add.outer(gram.diagonal(), gram.diagonal())
    distances = both - 2.0 * gram
    return np.where(distances > RESOLUTION * both, distances, 0.0)


def similarity_to(gram: Float64, weights: Float64) -> Float64:
    """Return each vector's cosine similarity with the combination `weights` @ vectors, shape (n,); 0 where either is 0.

    Args:
        gram: shape (n, n).
        weights: shape (n,), or (n, n) for another combination per vector.
    """
    products = (gram * weights).sum(axis=1)
    lengths = np.sqrt(np.maximum(((weights @ gram) * weights).sum(axis=-1), 0.0))
    return np.asarray(np.clip(products * inverse(norms(gram)) * inverse(lengths), -1.0, 1.0))


def alignments(gram: Float64, sweeps: int = 3) -> Float64:
    """Return each vector's cosine similarity with the robust direction of the others, shape (n,).

    The direction is a mean of unit vectors, so that length buys no influence, and leaves the vector itself out. Each
    further sweep weights the others by how far they were aligned before; what points away counts for nothing.

    Args:
        gram: shape (n, n), or (rounds, n, n) for an answer of shape (rounds, n).
    """
    similar = cosines(gram)
    weights = np.ones(similar.shape[:-1])
    aligned = np.zeros(similar.shape[:-1])
    for _ in range(1 + sweeps):
        told = weights.any(axis=-1, keepdims=True)
        aligned = np.where(told, _similarity_to_others(similar, weights), aligned)
        weights = np.maximum(aligned, 0.0) * told
    return aligned


def stacked_alignments(grams: Sequence[Float64]) -> list[Float64]:
    """Return `alignments` of each Gram matrix; those of one size are worked out together."""
    places: dict[int, list[int]] = {}
    for place, gram in enumerate(grams):
        places.setdefault(len(gram), []).append(place)
    found: dict[int, Float64] = {}
    for alike in places.values():
        found.update(zip(alike, alignments(np.stack([grams[place] for place in alike])), strict=True))
    return [found[place] for place in range(len(grams))]


def robust_scores(values: Float64, reference: NDArray[np.bool_] | None = None, floor: float = 1e-12) -> Float64:
    """Return how many robust standard deviations each value lies from the median (Iglewicz and Hoaglin 1993).

    Args:
        values: shape (n,).
        reference: whose median, and median absolute deviation, are taken; all values by default.
        floor: least standard deviation, so that near-equal values are not taken apart.
    """
    trusted = values if reference is None else values[reference]
    median = np.median(trusted)
    deviation = 1.4826 * np.median(np.abs(trusted - median))
    return np.asarray((values - median) / max(float(deviation), floor))


def inverse(values: Float64) -> Float64:
    """Return 1 / values, and 0 where a value is 0."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)


def _similarity_to_others(similar: Float64, weights: Float64) -> Float64:
    """Return each unit vector's cosine similarity with the weighted sum of the others, shape (…, n)."""
    others = weights[..., None, :] * (1.0 - np.eye(weights.shape[-1]))
    products = (similar * others).sum(axis=-1)
    squares = ((others @ similar) * others).sum(axis=-1)
    known = np.diagonal(similar, axis1=-2, axis2=-1)
    return np.asarray(np.clip(products * known * inverse(np.sqrt(np.maximum(squares, 0.0))), -1.0, 1.0))
