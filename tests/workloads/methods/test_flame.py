"""FLAME's majority against scikit-learn's HDBSCAN with the paper's settings, and by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import HDBSCAN

from flstore_core.workloads.methods.flame import clip_factors, majority


def hdbscan(rows: np.ndarray[Any, Any]) -> list[bool]:
    """Nguyen et al. 2022, section 4.2: clusters of more than half, density of one point, on cosine distances."""
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    distances = np.maximum(1 - units @ units.T, 0)
    np.fill_diagonal(distances, 0)
    half = len(rows) // 2 + 1
    model = HDBSCAN(min_cluster_size=half, min_samples=1, allow_single_cluster=True, metric="precomputed", copy=True)
    return [bool(label >= 0) for label in model.fit(distances).labels_]


@given(st.integers(4, 24), st.floats(0, 1.5), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_majority_is_that_of_hdbscan(clients: int, common: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((clients, 12)) + common
    rows[: rng.integers(0, clients // 2)] *= -1
    assert majority(rows @ rows.T).admitted.tolist() == hdbscan(rows)


def test_the_majority_by_hand() -> None:
    """At 0, 10, 25 and 100 degrees: three of four are linked by 10 and 15 degrees, and the last is 75 from them."""
    angles = np.radians([0.0, 10.0, 25.0, 100.0])
    group = majority(np.cos(angles[:, None] - angles[None, :]))
    assert group.admitted.tolist() == [True, True, True, False]
    assert group.widest == pytest.approx(1 - np.cos(np.radians(15)))
    assert group.gap.tolist() == pytest.approx([0, 0, 0, 1 - np.cos(np.radians(75))])


def test_half_of_the_clients_are_no_majority() -> None:
    halves = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert majority(halves @ halves.T).admitted.all()


@given(st.integers(1, 10), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_length_and_order_do_not_matter_for_the_majority(clients: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((clients, 12)) + 0.5
    order = rng.permutation(clients)
    longer = rows * rng.uniform(0.1, 10, clients)[:, None]
    one, other = majority(rows @ rows.T), majority(longer[order] @ longer[order].T)
    assert other.admitted.tolist() == one.admitted[order].tolist()
    assert other.widest == pytest.approx(one.widest)


@given(st.integers(1, 8), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_clipping_shortens_to_the_median_length_and_lengthens_nothing(clients: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((clients, 5))
    lengths = np.linalg.norm(rows, axis=1)
    factors = clip_factors(rows @ rows.T)
    np.testing.assert_allclose(factors * lengths, np.minimum(lengths, np.median(lengths)))


def test_clipping_by_hand() -> None:
    """Lengths 3, 6, 12 and 0 have the median 4.5."""
    rows = np.diag([1.0, 2, 4, 0]) @ np.ones((4, 9))
    assert clip_factors(rows @ rows.T).tolist() == pytest.approx([1, 0.75, 0.375, 1])
