"""Small arrays for methods: vectors, their Gram matrix, and rows that are read in blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def gram_of(rows: Any) -> Float64:
    """Return the inner products of vectors, shape (n, d), as float64."""
    vectors = np.asarray(rows, np.float64)
    return np.asarray(vectors @ vectors.T)


def vectors(count: int, dimensions: int, seed: int, shift: float = 0.0) -> Float64:
    """Return random vectors, shape (count, dimensions), normal around `shift`."""
    return np.random.default_rng(seed).standard_normal((count, dimensions)) + shift


seeds = st.integers(0, 2**32 - 1)
"""Seeds of random arrays: hypothesis shrinks the shapes, and leaves the numbers to NumPy."""


@dataclass(frozen=True)
class ArrayRow:
    """A slice of a flat vector that starts at element `start`."""

    values: Float32
    start: int = 0

    @property
    def stop(self) -> int:
        return self.start + len(self.values)

    def read(self, start: int, stop: int, out: Float32 | None = None, /) -> Float32:
        piece = self.values[start - self.start : stop - self.start]
        if out is None:
            return piece
        np.copyto(out, piece)
        return out


def rows_of(models: Any, start: int = 0) -> list[ArrayRow]:
    """Return the rows of a matrix, shape (n, d), as slices that start at element `start`."""
    return [ArrayRow(np.ascontiguousarray(model, np.float32), start) for model in models]


def cut(models: Any, cuts: Sequence[int]) -> list[list[ArrayRow]]:
    """Return the rows in slices that begin at 0 and at each of `cuts`."""
    matrix = np.asarray(models)
    bounds = [0, *cuts, matrix.shape[1]]
    return [rows_of(matrix[:, low:high], low) for low, high in pairwise(bounds) if high > low]
