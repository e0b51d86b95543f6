"""Krum's scores and choices, by the definition in plain loops and against Flower's."""

import numpy as np
import pytest
from flwr.server.strategy.aggregate import aggregate_krum
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.workloads.methods.krum import krum_choice, krum_scores, tolerated
from tests.workloads.methods.arrays import Float64, gram_of, seeds, vectors


def by_definition(rows: Float64, byzantine: int) -> list[float]:
    """Blanchard et al. 2017, section 4: the sum over the n - f - 2 closest others."""
    scores = []
    for i, row in enumerate(rows):
        distances = sorted(float(((row - other) ** 2).sum()) for j, other in enumerate(rows) if j != i)
        scores.append(sum(distances[: max(1, len(rows) - byzantine - 2)]))
    return scores


@given(st.integers(3, 12), st.integers(0, 4), seeds)
def test_scores_are_those_of_the_definition(clients: int, byzantine: int, seed: int) -> None:
    rows = vectors(clients, 20, seed)
    np.testing.assert_allclose(krum_scores(gram_of(rows), byzantine), by_definition(rows, byzantine), rtol=1e-9)


def test_scores_by_hand() -> None:
    rows = np.array([[0.0], [1], [2], [4], [100]])
    assert krum_scores(gram_of(rows), 1).tolist() == [1 + 4, 1 + 1, 1 + 4, 4 + 9, 96**2 + 98**2]


def test_of_two_clients_each_is_scored_by_the_other() -> None:
    assert krum_scores(gram_of([[0.0], [3.0]]), 0).tolist() == [9.0, 9.0]


@given(st.integers(3, 12), seeds, st.floats(0.1, 10), st.floats(-5, 5))
def test_scores_are_the_same_after_a_shift_and_grow_with_the_square_of_the_scale(
    clients: int, seed: int, factor: float, shift: float
) -> None:
    rows = vectors(clients, 6, seed)
    moved = krum_scores(gram_of(factor * rows + shift), 1)
    np.testing.assert_allclose(moved, factor**2 * krum_scores(gram_of(rows), 1), rtol=1e-5, atol=1e-4)


@given(st.integers(3, 14), st.data())
def test_the_choice_is_flowers(clients: int, data: st.DataObject) -> None:
    byzantine = data.draw(st.integers(0, (clients - 3) // 2))
    keep = data.draw(st.integers(2, clients))
    rows = vectors(clients, 9, data.draw(seeds))
    chosen = krum_choice(gram_of(rows), byzantine, keep)
    (expected,) = aggregate_krum([([row], 1) for row in rows], byzantine, keep)
    np.testing.assert_allclose(rows[chosen].mean(axis=0), expected)
    assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_of_equal_scores_the_first_rows_are_chosen() -> None:
    assert krum_choice(gram_of(np.ones((5, 2))), 1, 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("clients", "share", "byzantine"),
    [(10, 0.3, 3), (10, 0.9, 3), (5, 0.3, 1), (4, 0.3, 0), (3, 0.49, 0), (1, 0.49, 0), (100, 0.0, 0)],
)
def test_as_many_are_tolerated_as_the_share_says_within_krums_bound(clients: int, share: float, byzantine: int) -> None:
    assert tolerated(clients, share) == byzantine


@given(st.integers(3, 500), st.floats(0, 1))
def test_krums_bound_holds_for_any_share(clients: int, share: float) -> None:
    assert 2 * tolerated(clients, share) + 2 < clients or tolerated(clients, share) == 0
