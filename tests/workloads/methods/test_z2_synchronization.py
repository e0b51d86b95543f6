"""Opposition: the exact marginals of a small case by enumeration, and what it says where nothing is known."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from flstore_core.workloads.methods.z2_synchronization import PRIOR, opposition
from tests.workloads.methods.arrays import gram_of, seeds, vectors


def by_enumeration(similar: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> list[float]:
    """Return each client's log odds of -1 under exp(sum over pairs 6 c^3 s_i s_j + PRIOR / 2 sum s_i)."""
    count = len(similar)
    weights = np.zeros((count, 2))
    for signs in product((-1, 1), repeat=count):
        pairs = sum(similar[i, j] ** 3 * signs[i] * signs[j] for i in range(count) for j in range(i))
        weight = np.exp(6 * pairs + PRIOR / 2 * sum(signs))
        for row, sign in enumerate(signs):
            weights[row, (sign + 1) // 2] += weight
    odds: list[float] = np.log(weights[:, 0] / weights[:, 1]).tolist()
    return odds


def together(rows: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> list[float]:
    odds: list[float] = opposition([(np.arange(len(rows)), rows @ rows.T)], len(rows)).tolist()
    return odds


def test_the_mean_field_comes_to_the_verdicts_of_enumeration() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        signs = np.where(np.arange(8) < 2, -1.0, 1.0)
        rows = signs[:, None] * (rng.standard_normal(30) + rng.standard_normal((8, 30)))
        lengths = np.linalg.norm(rows, axis=1)
        exact = np.array(by_enumeration(rows @ rows.T / np.outer(lengths, lengths)))
        sure = np.abs(exact) > 1.5
        assert (np.sign(together(rows))[sure] == np.sign(exact)[sure]).all()
        assert sure.sum() >= 4


def test_nothing_is_known_of_who_is_like_nobody() -> None:
    assert together(np.eye(5)) == pytest.approx([-PRIOR] * 5)
    assert together(np.zeros((3, 9))) == pytest.approx([-PRIOR] * 3)


def test_rounds_add_up_and_clients_keep_their_numbers() -> None:
    rows = np.array([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.05]])
    gram = rows @ rows.T
    once = opposition([(np.array([4, 0, 2]), gram)], 5)
    twice = opposition([(np.array([4, 0, 2]), gram), (np.array([2, 0]), gram[np.ix_([2, 1], [2, 1])])], 5)
    assert once[[1, 3]] == pytest.approx([-PRIOR] * 2)
    assert (once > 0).tolist() == [False, False, True, False, False]
    assert twice[2] > once[2]


def test_a_majority_is_right_however_long_its_updates_are() -> None:
    rows = np.ones((7, 4)) * np.array([-1.0, -1, 1, 1, 1, 1, 1])[:, None]
    rows[:2] *= 1000
    assert (np.array(together(rows)) > 0).tolist() == [True, True, False, False, False, False, False]


@pytest.mark.parametrize("cosine", [0.9, 0.5, 0.1, -0.1, -0.5])
def test_two_clients_meet_at_the_fixed_point_of_the_mean_field(cosine: float) -> None:
    """By symmetry both have the odds h = PRIOR + 12 cos³ tanh(h / 2), solved by SciPy."""
    odds = brentq(lambda h: PRIOR + 12 * cosine**3 * np.tanh(h / 2) - h, 0, 50)
    gram = np.array([[1.0, cosine], [cosine, 1.0]])
    assert opposition([(np.array([0, 1]), gram)], 2).tolist() == pytest.approx([-odds, -odds], abs=1e-4)


@given(st.integers(2, 6), seeds)
@settings(max_examples=20)
def test_neither_the_order_of_clients_nor_the_length_of_their_updates_matters(clients: int, seed: int) -> None:
    rows = vectors(clients, 9, seed, shift=0.5)
    rng = np.random.default_rng(seed)
    order, lengths = rng.permutation(clients), rng.uniform(0.1, 10, clients)
    straight = opposition([(np.arange(clients), gram_of(rows))], clients)
    shuffled = opposition([(order, gram_of((rows * lengths[:, None])[order]))], clients)
    np.testing.assert_allclose(shuffled, straight, atol=1e-4)


@given(st.lists(st.integers(2, 5), min_size=1, max_size=4), seeds)
@settings(max_examples=20)
def test_rounds_of_any_sizes_and_in_any_order_say_the_same(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    rounds = [
        (rng.permutation(6)[:size], gram_of(vectors(size, 9, seed + number))) for number, size in enumerate(sizes)
    ]
    np.testing.assert_allclose(opposition(rounds[::-1], 6), opposition(rounds, 6), atol=1e-9)


def test_clients_that_never_met_do_not_speak_about_each_other() -> None:
    rows = vectors(4, 9, 1, shift=0.5)
    alone = opposition([(np.arange(4), gram_of(rows))], 4)
    others = (np.arange(4, 7), gram_of(-vectors(3, 9, 2)))
    together = opposition([(np.arange(4), gram_of(rows)), others], 7)
    np.testing.assert_allclose(together[:4], alone, atol=1e-4)


def test_more_rounds_make_surer() -> None:
    rows = np.array([[1.0, 0.0], [1.0, 0.8], [-1.0, 0.3], [1.0, -0.5]])
    of_rounds = [opposition([(np.arange(4), gram_of(rows))] * count, 4) for count in (1, 2, 4)]
    assert of_rounds[0][2] < of_rounds[1][2] < of_rounds[2][2]
    assert of_rounds[0][0] > of_rounds[1][0] > of_rounds[2][0]
