"""Opposition: the exact marginals of a small case by enumeration, and what it says where nothing is known."""

from itertools import product

import numpy as np
import pytest

from flstore_core.workloads.methods.z2_synchronization import PRIOR, opposition


def by_enumeration(similar: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> list[float]:
    """Return each client's log odds of -1 under exp(sum over pairs 6 c^3 s_i s_j + PRIOR / 2 sum s_i)."""
    count = len(similar)
    weights = np.zeros((count, 2))
    for signs in product((-1, 1), repeat=count):
        pairs = sum(similar[i, j] ** 3 * signs[i] * signs[j] for i in range(count) for j in range(i))
        weight = np.exp(6 * pairs + PRIOR / 2 * sum(signs))
        for row, sign in enumerate(signs):
            weights[row, (sign + 1) // 2] += weight
    found: list[float] = np.log(weights[:, 0] / weights[:, 1]).tolist()
    return found


def together(rows: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> list[float]:
    found: list[float] = opposition([(np.arange(len(rows)), rows @ rows.T)], len(rows)).tolist()
    return found


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
