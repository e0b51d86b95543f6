"""FLTrust's scores by hand and against scikit-learn's cosine similarity."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from flstore_core.workloads.methods.fltrust import fltrust
from tests.workloads.methods.arrays import gram_of, seeds, vectors


def test_scores_by_hand() -> None:
    rows = np.array([[2.0, 0], [3, 3], [0, 5], [-1, 1], [0, 0]])
    np.testing.assert_allclose(fltrust(gram_of(rows), 0), [1, math.sqrt(0.5), 0, 0, 0])


@given(st.integers(1, 8), seeds)
def test_scores_are_the_positive_part_of_the_similarity_with_the_root(clients: int, seed: int) -> None:
    rows, root = vectors(clients, 6, seed), seed % clients
    expected = np.maximum(cosine_similarity(rows, rows[[root]])[:, 0], 0)
    np.testing.assert_allclose(fltrust(gram_of(rows), root), expected, atol=1e-9)


def test_nobody_is_trusted_on_a_root_that_did_not_move() -> None:
    assert fltrust(gram_of([[0.0, 0.0], [1.0, 1.0]]), 0).tolist() == [0.0, 0.0]
