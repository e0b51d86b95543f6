"""Aggregates that withstand bad updates, against Flower's, SciPy's and closed forms in float64."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from flwr.server.strategy.aggregate import (
    aggregate_bulyan,
    aggregate_krum,
    aggregate_median,
    aggregate_trimmed_avg,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from flstore_core.errors import InvalidParameters, NotEnoughData
from flstore_core.workloads.aggregate import Aggregate, AggregateParams
from tests.workloads.rounds import ask_weights, make_round

ASKED = Aggregate()
METHODS = ("geometric-median", "krum", "multi-krum", "bulyan", "clipped-mean")

Float64 = NDArray[np.float64]


def ask(rows: Float64, base: Float64 | None = None, slices: int = 1, **params: Any) -> tuple[Any, Float64]:
    """Return the answer on a round whose clients sent `rows`, and the model as float64."""
    rows = rows.astype(np.float32).astype(np.float64)
    data = make_round(rows, base=base, slices=slices)
    answer, model = ask_weights(ASKED, data, rows, base, slices, **params)
    return answer, model.astype(np.float64)


def updates(clients: int, seed: int, parameters: int = 60) -> Float64:
    return np.random.default_rng(seed).standard_normal((clients, parameters)).astype(np.float32).astype(np.float64)


def results(rows: Float64) -> list[tuple[list[Float64], int]]:
    return [([row], 1) for row in rows]


@given(st.integers(3, 20), st.data())
@settings(max_examples=30, deadline=None)
def test_krum_and_multi_krum_are_flowers(clients: int, data: st.DataObject) -> None:
    byzantine = data.draw(st.integers(0, (clients - 3) // 2))
    keep = data.draw(st.integers(1, clients))
    rows = updates(clients, data.draw(st.integers(0, 10**6)))
    np.testing.assert_allclose(
        ask(rows, method="krum", byzantine=byzantine)[1], aggregate_krum(results(rows), byzantine, 0)[0], atol=1e-6
    )
    np.testing.assert_allclose(
        ask(rows, method="multi-krum", byzantine=byzantine, keep=keep)[1],
        aggregate_krum(results(rows), byzantine, keep)[0],
        atol=1e-6,
    )


@given(st.integers(3, 23), st.data())
@settings(max_examples=30, deadline=None)
def test_bulyan_is_flowers(clients: int, data: st.DataObject) -> None:
    byzantine = data.draw(st.integers(0, (clients - 3) // 4))
    rows = updates(clients, data.draw(st.integers(0, 10**6)))
    answer, model = ask(rows, method="bulyan", byzantine=byzantine)
    expected = aggregate_bulyan(results(rows), byzantine, aggregate_krum, to_keep=0)[0]
    np.testing.assert_allclose(model, expected, atol=1e-6)
    assert (len(answer.left_out), answer.dropped) == (2 * byzantine, 2 * byzantine)


def test_median_and_trimmed_mean_are_flowers() -> None:
    rows = updates(9, 1, 500)
    np.testing.assert_allclose(ask(rows, method="median")[1], aggregate_median(results(rows))[0], atol=1e-6)
    trimmed = aggregate_trimmed_avg(results(rows), 0.25)[0]
    np.testing.assert_allclose(ask(rows, method="trimmed-mean", trim=0.25)[1], trimmed, atol=1e-6)


@given(st.integers(3, 9), st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_the_geometric_median_minimises_the_sum_of_distances(clients: int, seed: int) -> None:
    rows = updates(clients, seed, 6)
    found = ask(rows, method="geometric-median")[1]

    def total(point: Float64) -> float:
        return float(np.linalg.norm(rows - point, axis=1).sum())

    best = minimize(total, rows.mean(axis=0), method="Nelder-Mead", options={"xatol": 1e-9, "maxiter": 20_000})
    farthest = np.linalg.norm(rows[:, None] - rows[None, :], axis=2).max()
    assert total(found) <= best.fun + clients * 1e-3 * farthest / 2  # each distance is smoothed by that at the most


def test_the_geometric_median_of_an_equilateral_triangle_is_its_centre_and_weighs_by_examples() -> None:
    corners = np.array([[0.0, 0, 1], [1, 0, 1], [0.5, math.sqrt(3) / 2, 1]])
    np.testing.assert_allclose(ask(corners, method="geometric-median")[1], corners.mean(axis=0), atol=1e-6)
    data = make_round(corners, examples=[10, 1, 1])
    heavy = ask_weights(ASKED, data, corners, method="geometric-median")[1]
    np.testing.assert_allclose(heavy, corners[0], atol=2e-3)


def test_wild_updates_do_not_move_the_robust_ones() -> None:
    honest = 1 + 0.01 * updates(12, 3)
    rows = np.vstack([honest, np.full((2, 60), 1e6)])
    for method in ("geometric-median", "krum", "multi-krum", "bulyan"):
        model = ask(rows, method=method, byzantine=2)[1]
        assert np.abs(model - 1).max() < 0.05, method
    np.testing.assert_allclose(ask(rows, np.ones(60), method="clipped-mean")[1], 1, atol=0.1)


def test_clipped_deltas_are_averaged_on_top_of_the_base() -> None:
    base, rows = updates(1, 9)[0], updates(7, 4)
    deltas = rows - base
    shortened = deltas * np.minimum(1, 3.0 / np.linalg.norm(deltas, axis=1))[:, None]
    answer, model = ask(rows, base, method="clipped-mean", clip=3.0)
    np.testing.assert_allclose(model, base + shortened.mean(axis=0), atol=1e-6)
    assert answer.privacy is None
    assert answer.moved == pytest.approx(np.linalg.norm(shortened.mean(axis=0)), rel=1e-5)


def test_noise_is_gaussian_of_the_deviation_told_and_follows_from_the_seed() -> None:
    rows = np.zeros((4, 200_000))
    noisy = partial(ask, rows, method="clipped-mean", clip=2.0, noise=3.0)
    answer, model = noisy(seed=1)
    assert answer.privacy.deviation == 1.5
    assert answer.privacy.sensitivity == 0.5
    assert model.std() == pytest.approx(1.5, rel=0.01)
    assert abs(model.mean()) < 0.02
    assert (np.abs(model / 1.5) < 1).mean() == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.005)
    np.testing.assert_array_equal(noisy(seed=1)[1], model)
    assert abs(np.corrcoef(noisy(seed=2)[1], model)[0, 1]) < 0.01
    assert abs(np.corrcoef(model[:100_000], model[100_000:])[0, 1]) < 0.02


@pytest.mark.parametrize("slices", [2, 5])
def test_noise_is_the_same_however_the_model_is_cut(slices: int) -> None:
    rows = np.zeros((3, 200_000))
    whole = ask(rows, method="clipped-mean", clip=1.0, noise=1.0)[1]
    np.testing.assert_array_equal(ask(rows, slices=slices, method="clipped-mean", clip=1.0, noise=1.0)[1], whole)


@pytest.mark.parametrize("method", METHODS)
@given(parameters=st.integers(3, 3000), seed=st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_slices_do_not_change_the_model(method: str, parameters: int, seed: int) -> None:
    rows, base = updates(7, seed, parameters), updates(1, seed + 1, parameters)[0]
    one, whole = ask(rows, base, method=method)
    for slices in (2, 5):
        many, cut = ask(rows, base, slices, method=method)
        np.testing.assert_allclose(cut, whole, atol=1e-6)
        np.testing.assert_allclose(many.weights, one.weights, atol=1e-6)
        assert many.moved == pytest.approx(one.moved, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_one_client_is_its_own_aggregate(method: str) -> None:
    rows = updates(1, 5)
    np.testing.assert_allclose(ask(rows, method=method)[1], rows[0], rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_equal_updates_are_their_own_aggregate(method: str) -> None:
    rows, base = np.tile(updates(1, 6), (8, 1)), updates(1, 7)[0]
    np.testing.assert_allclose(ask(rows, base, method=method)[1], rows[0], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_zero_deltas_leave_the_base(method: str) -> None:
    base = updates(1, 8)[0]
    answer, model = ask(np.tile(base, (7, 1)), base, method=method)
    np.testing.assert_allclose(model, base, atol=1e-6)
    assert answer.moved == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("F16", 1e-3), ("BF16", 1e-2), ("F64", 1e-6)])
def test_other_dtypes_give_the_same_within_their_precision(method: str, dtype: str, tolerance: float) -> None:
    rows = updates(7, 11)
    exact = ask(rows, method=method)[1]
    found = ask_weights(ASKED, make_round(rows), rows, dtype=dtype, method=method)[1]
    np.testing.assert_allclose(found, exact, atol=tolerance * 4)


@pytest.mark.parametrize(("method", "clients", "least"), [("krum", 6, 7), ("multi-krum", 6, 7), ("bulyan", 10, 11)])
def test_too_few_clients_for_the_malicious_ones_expected_are_refused(method: str, clients: int, least: int) -> None:
    with pytest.raises(NotEnoughData, match=f"among {least} or more; these are {clients}"):
        ask(updates(clients, 0), method=method, byzantine=2)
    assert ask(updates(least, 0), method=method, byzantine=2)[0].method == method


def test_more_than_there_are_cannot_be_kept() -> None:
    with pytest.raises(NotEnoughData, match=r"5 update\(s\) are fewer than keep \(9\)"):
        ask(updates(5, 0), method="multi-krum", keep=9)


def test_noise_without_a_bound_of_its_own_promises_nothing_and_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="clip"):
        AggregateParams(method="clipped-mean", noise=1.0)
    with pytest.raises(InvalidParameters, match="clipped-mean"):
        AggregateParams(method="median", noise=1.0, clip=1.0)


def test_krum_reads_only_the_update_it_chose() -> None:
    rows = np.vstack([np.ones((4, 60)), np.full((1, 60), 9.0)])
    chosen = ASKED.members([make_round(rows)], AggregateParams(method="krum"))
    assert [member.client for member in chosen] == ["c0"]
