"""Aggregates against NumPy and SciPy in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import trim_mean

from flstore_core.workloads.aggregate import Aggregate
from tests.workloads.rounds import ask_weights, make_round

ASKED = Aggregate()


def test_fedavg_weighs_by_examples() -> None:
    rows = np.random.default_rng(0).standard_normal((5, 40_000))
    examples = [1.0, 5.0, 2.0, 2.0, 90.0]
    answer, model = ask_weights(ASKED, make_round(rows[:, :9], examples=examples), rows)
    np.testing.assert_allclose(model, np.average(rows, axis=0, weights=examples), atol=1e-6)
    np.testing.assert_allclose(answer.weights, np.array(examples) / 100)
    assert (answer.artifact.parameters, answer.dropped) == (40_000, 0)


def test_fedavg_of_clients_without_examples_is_the_plain_mean() -> None:
    rows = np.array([[1.0, 2, 3], [3, 4, 5]])
    assert ask_weights(ASKED, make_round(rows, examples=[0, 0]), rows)[1].tolist() == [2, 3, 4]


@given(st.integers(1, 24), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_median_is_numpys(clients: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((clients, 50)).round(1)
    answer, model = ask_weights(ASKED, make_round(rows[:, :3]), rows, method="median")
    np.testing.assert_allclose(model, np.median(rows.astype(np.float32), axis=0), atol=1e-7)
    assert answer.dropped == clients - (1 if clients % 2 else 2)


@given(st.integers(1, 24), st.floats(0, 0.49), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_trimmed_mean_is_scipys(clients: int, trim: float, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((clients, 50))
    _, model = ask_weights(ASKED, make_round(rows[:, :3]), rows, method="trimmed-mean", trim=trim)
    np.testing.assert_allclose(model, trim_mean(rows, trim, axis=0), atol=1e-6)


@pytest.mark.parametrize("method", ["fedavg", "median", "trimmed-mean"])
@given(parameters=st.integers(3, 300), slices=st.integers(2, 7), seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_slices_do_not_change_the_model(method: str, parameters: int, slices: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, base = rng.standard_normal((7, parameters)), rng.standard_normal(parameters)
    data = make_round(rows[:, :3], examples=[1, 2, 3, 4, 5, 6, 7])
    one, whole = ask_weights(ASKED, data, rows, base, method=method)
    many, split = ask_weights(ASKED, data, rows, base, slices, method=method)
    np.testing.assert_allclose(split, whole, atol=1e-6)
    assert many.moved == pytest.approx(one.moved, rel=1e-6)
    assert one.moved == pytest.approx(float(np.linalg.norm(whole - base)), rel=1e-5)


@pytest.mark.parametrize("method", ["fedavg", "median", "trimmed-mean"])
def test_one_client_is_its_own_aggregate(method: str) -> None:
    rows = np.array([[1.0, -2, 3, 4]])
    assert ask_weights(ASKED, make_round(rows), rows, method=method)[1].tolist() == rows[0].tolist()


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64"])
def test_other_dtypes_are_read_as_float32(dtype: str) -> None:
    rows = np.array([[1.0, 2, -4, 0.5], [3, 2, 8, 0.5], [0, 2, 0, 0.5]])
    model = ask_weights(ASKED, make_round(rows), rows, dtype=dtype, method="median")[1]
    assert model.tolist() == [1, 2, 0, 0.5]
    assert model.dtype == np.float32


def test_only_the_named_clients_count_and_the_artifact_says_what_it_is() -> None:
    rows = np.array([[1.0, 1, 1], [5, 5, 5], [3, 3, 3]])
    answer, model = ask_weights(ASKED, make_round(rows, number=4), rows, clients=["c2", "c0"])
    assert (answer.clients, answer.round, model.tolist()) == (["c2", "c0"], 4, [2, 2, 2])


def test_the_model_of_a_robust_method_ignores_a_few_wild_updates() -> None:
    rows = np.vstack([np.ones((8, 12)), np.full((2, 12), 1e6)])
    for method in ("median", "trimmed-mean"):
        model = ask_weights(ASKED, make_round(rows[:, :3]), rows, method=method, trim=0.2)[1]
        np.testing.assert_array_equal(model, np.ones(12))
