"""Bulyan, by the definition in plain loops and against Flower's."""

import numpy as np
import pytest
from flwr.server.strategy.aggregate import aggregate_bulyan, aggregate_krum
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.workloads.methods.bulyan import MeanAroundMedian, bulyan_choice
from flstore_core.workloads.methods.coordinatewise import combine_rows
from flstore_core.workloads.methods.krum import krum_scores
from tests.workloads.methods.arrays import Float64, cut, gram_of, rows_of, seeds, vectors


def around_median(values: list[float], kept: int) -> float:
    """Return the mean of the values nearest to the median; of two equally near ones, the lesser comes first."""
    median = float(np.median(values))
    nearest = sorted(values, key=lambda value: (abs(value - median), value))[:kept]
    return sum(nearest) / kept


def chosen_one_by_one(rows: Float64, byzantine: int) -> list[int]:
    """El Mhamdi et al. 2018, section 4: Krum's choice is moved to the selection, n - 2f times."""
    remaining, selected = list(range(len(rows))), []
    for _ in range(len(rows) - 2 * byzantine):
        scores = krum_scores(gram_of(rows[remaining]), byzantine)
        selected.append(remaining.pop(int(scores.argmin())))
    return sorted(selected)


@given(st.integers(3, 12), st.data())
def test_clients_are_chosen_by_krum_one_after_the_other(clients: int, data: st.DataObject) -> None:
    byzantine = data.draw(st.integers(0, (clients - 1) // 2))
    rows = vectors(clients, 5, data.draw(seeds))
    assert bulyan_choice(gram_of(rows), byzantine).tolist() == chosen_one_by_one(rows, byzantine)


@given(st.integers(1, 11), st.data())
def test_each_coordinate_is_the_mean_of_the_values_nearest_its_median(clients: int, data: st.DataObject) -> None:
    kept = data.draw(st.integers(1, clients))
    rows = np.round(vectors(clients, 40, data.draw(seeds)) * 4) / 4  # with ties, exactly representable
    combined, _ = combine_rows(rows_of(rows), MeanAroundMedian(kept), None)
    expected = [around_median(column.tolist(), kept) for column in rows.T]
    np.testing.assert_allclose(combined, expected, atol=1e-6)


@given(st.integers(7, 15), st.data())
def test_both_steps_together_are_flowers(clients: int, data: st.DataObject) -> None:
    byzantine = data.draw(st.integers(0, (clients - 3) // 4))
    rows = vectors(clients, 12, data.draw(seeds)).astype(np.float32).astype(np.float64)
    chosen = rows[bulyan_choice(gram_of(rows), byzantine)]
    combined, _ = combine_rows(rows_of(chosen), MeanAroundMedian(len(chosen) - 2 * byzantine), None)
    expected = aggregate_bulyan([([row], 1) for row in rows], byzantine, aggregate_krum, to_keep=0)[0]
    np.testing.assert_allclose(combined, expected, atol=1e-5)


@given(st.integers(3, 9), st.integers(1, 39), seeds)
def test_slices_do_not_change_a_coordinate(clients: int, at: int, seed: int) -> None:
    rows = vectors(clients, 40, seed)
    whole, _ = combine_rows(rows_of(rows), MeanAroundMedian(3), None)
    pieces = [combine_rows(piece, MeanAroundMedian(3), None)[0] for piece in cut(rows, [at])]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@given(st.integers(3, 9), seeds)
def test_the_order_of_clients_does_not_matter(clients: int, seed: int) -> None:
    rows = vectors(clients, 40, seed)
    shuffled = np.random.default_rng(seed).permutation(rows)
    once, _ = combine_rows(rows_of(rows), MeanAroundMedian(2), None)
    again, _ = combine_rows(rows_of(shuffled), MeanAroundMedian(2), None)
    np.testing.assert_allclose(again, once, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("wild", [1e30, -1e30, 3e38])
def test_wild_values_are_left_out_without_overflow(wild: float) -> None:
    rows = np.vstack([np.ones((5, 8)), np.full((2, 8), wild)])
    combined, _ = combine_rows(rows_of(rows), MeanAroundMedian(3), None)
    assert combined.tolist() == [1.0] * 8
