"""FoolsGold by the paper's algorithm in plain loops, and what sybils, honest clients and their lengths do to it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.workloads.methods.foolsgold import foolsgold
from tests.workloads.methods.arrays import Float64, gram_of, seeds, vectors


def by_the_paper(rows: Float64) -> list[float]:
    """Fung et al. 2018, algorithm 1, line by line."""
    n = len(rows)
    similar = [
        [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) if i != j else -math.inf for j, b in enumerate(rows)]
        for i, a in enumerate(rows)
    ]
    nearest = [max(line) for line in similar]
    for i in range(n):
        for j in range(n):
            if nearest[j] > nearest[i] > 0:
                similar[i][j] *= nearest[i] / nearest[j]
    rates = [min(max(1 - max(line), 0.0), 1.0) for line in similar]
    scaled = [min(rate / max(rates), 1 - 1e-12) for rate in rates]
    return [min(max(math.log(max(s, 1e-12) / (1 - s)) + 0.5, 0.0), 1.0) for s in scaled]


@given(st.integers(2, 8), seeds)
def test_weights_are_those_of_the_papers_algorithm(clients: int, seed: int) -> None:
    rows = np.abs(vectors(clients, 12, seed))  # all alike to some degree
    np.testing.assert_allclose(foolsgold(gram_of(rows)), by_the_paper(rows), atol=1e-9)


@given(st.integers(2, 4), st.integers(3, 6), seeds)
def test_sybils_weigh_nothing_however_many_they_are(sybils: int, honest: int, seed: int) -> None:
    rows = vectors(sybils + honest, 400, seed)
    rows[:sybils] = rows[0]
    weights = foolsgold(gram_of(rows))
    assert weights[:sybils].tolist() == [0.0] * sybils
    assert (weights[sybils:] > 0.9).all()


@given(st.integers(2, 8), seeds)
def test_weights_ignore_length_and_order(clients: int, seed: int) -> None:
    rows = vectors(clients, 12, seed)
    order = np.random.default_rng(seed).permutation(clients)
    longer = rows * np.linspace(0.5, 20, clients)[:, None]
    np.testing.assert_allclose(foolsgold(gram_of(longer[order])), foolsgold(gram_of(rows))[order], atol=1e-6)


def test_clients_that_all_send_the_same_weigh_nothing() -> None:
    assert foolsgold(np.ones((4, 4))).tolist() == [0.0] * 4


def test_an_honest_client_like_a_sybil_is_pardoned_by_its_own_distance_from_others() -> None:
    """Sybils at 0 degrees, an honest client at 60: its similarity of 0.5 is scaled by 0.5 / 1, to 0.25."""
    angles = np.radians([0.0, 0.0, 60.0])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    weights = foolsgold(gram_of(rows))
    assert weights.tolist() == pytest.approx([0.0, 0.0, 1.0])
    assert by_the_paper(rows) == pytest.approx([0.0, 0.0, 1.0])


def test_a_client_that_resembles_nobody_is_fully_trusted_however_little_the_others_are_alike() -> None:
    """The first is at -0.1 to both others, which are at 0.001 to each other: a ratio of -100 must not count."""
    similar = np.array([[1.0, -0.1, -0.1], [-0.1, 1.0, 0.001], [-0.1, 0.001, 1.0]])
    assert foolsgold(similar).tolist() == [1.0, 1.0, 1.0]


def test_opposite_updates_are_not_alike() -> None:
    assert foolsgold(gram_of([[1.0, 0.0], [-1.0, 0.0]])).tolist() == [1.0, 1.0]
