"""Lengths, angles and distances of vectors, from their Gram matrix alone: no vector is read.

With inner products g, the length of a vector is sqrt(g_ii), the cosine of two g_ij / sqrt(g_ii g_jj), and their
squared distance g_ii + g_jj - 2 g_ij. A weighted sum of vectors has the inner product w @ g @ v with another one.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

RESOLUTION = 1e-7
"""Squared distance, relative to the vectors' squared lengths, that float32 inner products cannot tell from 0."""


def norms(gram: Float64) -> Float64:
    """Return the lengths of the n vectors, shape (n,); shape (…, n) for a stack of Gram matrices."""
    return np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), 0.0))


def cosines(gram: Float64) -> Float64:
    """Return cosine similarities, shape (n, n), or (…, n, n) for a stack of Gram matrices.

    A zero vector has the cosine similarity 0 with all vectors, itself included.
    """
    lengths = norms(gram)
    inverted = inverse(lengths)
    similar = gram * inverted[..., :, None] * inverted[..., None, :]
    diagonal = np.arange(gram.shape[-1])
    similar[..., diagonal, diagonal] = lengths > 0
    return np.clip(similar, -1.0, 1.0)


def squared_distances(gram: Float64) -> Float64:
    """Return squared Euclidean distances, shape (n, n); those below `RESOLUTION` are 0."""
    both = np.add.outer(gram.diagonal(), gram.diagonal())
    distances = both - 2.0 * gram
    return np.where(distances > RESOLUTION * both, distances, 0.0)


def similarity_to(gram: Float64, weights: Float64) -> Float64:
    """Return each vector's cosine similarity with a weighted sum of the vectors, shape (n,); 0 if either is zero.

    Args:
        gram: shape (n, n).
        weights: of the sum, shape (n,); or shape (n, n), a row for each vector's own sum.
    """
    products = (gram * weights).sum(axis=1)
    lengths = np.sqrt(np.maximum(((weights @ gram) * weights).sum(axis=-1), 0.0))
    return np.asarray(np.clip(products * inverse(norms(gram)) * inverse(lengths), -1.0, 1.0))


def alignments(gram: Float64, sweeps: int = 3) -> Float64:
    """Return each vector's cosine similarity with the robust direction of the others, shape (n,).

    The direction is a mean of unit vectors, so that length gives no influence, and it leaves the vector itself out.
    Each further sweep weights the others by their alignment in the sweep before; vectors that point away weigh 0.

    Args:
        gram: shape (n, n), or (rounds, n, n) for a result of shape (rounds, n).
        sweeps: number of further sweeps.
    """
    similar = cosines(gram)
    weights = np.ones(similar.shape[:-1])
    aligned = np.zeros(similar.shape[:-1])
    for _ in range(1 + sweeps):
        has_direction = weights.any(axis=-1, keepdims=True)
        aligned = np.where(has_direction, _similarity_to_others(similar, weights), aligned)
        weights = np.maximum(aligned, 0.0) * has_direction
    return aligned


def stacked_alignments(grams: Sequence[Float64]) -> list[Float64]:
    """Return `alignments` of each Gram matrix; matrices of the same size are computed in one batch."""
    places_of_size: dict[int, list[int]] = {}
    for place, gram in enumerate(grams):
        places_of_size.setdefault(len(gram), []).append(place)
    aligned: dict[int, Float64] = {}
    for places in places_of_size.values():
        aligned.update(zip(places, alignments(np.stack([grams[place] for place in places])), strict=True))
    return [aligned[place] for place in range(len(grams))]


def robust_scores(values: Float64, reference: NDArray[np.bool_] | None = None, floor: float = 1e-12) -> Float64:
    """Return how many robust standard deviations each value lies from the median (Iglewicz and Hoaglin 1993).

    Args:
        values: shape (n,).
        reference: flags of the values whose median and median absolute deviation are used; all by default.
        floor: least standard deviation, so that differences among near-equal values are not exaggerated.
    """
    usual = values if reference is None else values[reference]
    median = np.median(usual)
    deviation = 1.4826 * np.median(np.abs(usual - median))  # that of normal values is their standard deviation
    return np.asarray((values - median) / max(float(deviation), floor))


def inverse(values: Float64) -> Float64:
    """Return 1 / values, and 0 where a value is 0 or negative."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)


def _similarity_to_others(similar: Float64, weights: Float64) -> Float64:
    """Return each unit vector's cosine similarity with the weighted sum of the others, shape (…, n)."""
    others = weights[..., None, :] * (1.0 - np.eye(weights.shape[-1]))
    products = (similar * others).sum(axis=-1)
    squares = ((others @ similar) * others).sum(axis=-1)
    nonzero = np.diagonal(similar, axis1=-2, axis2=-1)  # 0 for a zero vector, else 1
    return np.asarray(np.clip(products * nonzero * inverse(np.sqrt(np.maximum(squares, 0.0))), -1.0, 1.0))
