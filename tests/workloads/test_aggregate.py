"""Aggregates against NumPy and SciPy in float64."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import trim_mean

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads import RoundData
from flstore_core.workloads.aggregate import Aggregate, AggregateParams
from tests.workloads.rounds import Index, ask_weights, make_round, rounds_of

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


def test_clients_that_name_no_weight_are_named() -> None:
    rows = np.array([[1.0, 2], [3, 4], [5, 6]])
    data = make_round(rows, examples=[1, 2, 3])
    first, second, third = data.record.members
    members = (replace(first, metrics={}), second, replace(third, metrics={"num-examples": 2}))
    data = replace(data, record=replace(data.record, members=members))
    answer, model = ask_weights(ASKED, data, rows)
    assert answer.unweighted == [first.client]
    np.testing.assert_allclose(model, np.average(rows, axis=0, weights=[1, 2, 2]), atol=1e-6)
    assert ask_weights(ASKED, data, rows, method="median")[0].unweighted == []


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


def test_the_documented_example() -> None:
    rows = np.array([[1.0] * 3, [2] * 3, [3] * 3, [4] * 3, [100] * 3])
    found = {
        method: ask_weights(ASKED, make_round(rows), rows, method=method, trim=0.2)[1][0]
        for method in ("fedavg", "median", "trimmed-mean")
    }
    assert found == {"fedavg": 22.0, "median": 3.0, "trimmed-mean": 3.0}


def test_a_round_without_updates_and_unknown_clients_are_refused() -> None:
    (empty,) = rounds_of({})
    with pytest.raises(NotEnoughData, match="round 0 has no updates to aggregate; name another round"):
        ASKED.members([empty], AggregateParams())
    (data,) = rounds_of({"anna": {}})
    with pytest.raises(NotFound, match="client in round 0 'ana' does not exist; nearest: anna"):
        ASKED.members([data], AggregateParams(clients=["ana"]))
    with pytest.raises(NotEnoughData, match="the job keeps no statistics"):
        ASKED.members([RoundData(data.record)], AggregateParams(method="krum"))
    with pytest.raises(InvalidParameters, match="a fixed clip, which does not depend on the updates; give both"):
        AggregateParams(noise=1.0, clip=2.0)


def test_statistics_are_read_by_the_methods_that_need_them_only() -> None:
    reading = {method for method in METHODS if ASKED.reads_statistics(AggregateParams(method=method))}
    assert reading == {"geometric-median", "krum", "multi-krum", "bulyan", "clipped-mean"}
    assert ASKED.select(AggregateParams(round=3), Index(committed=[1], open=[3])) == (3,)


METHODS: list[Any] = [
    "fedavg", "median", "trimmed-mean", "geometric-median", "krum", "multi-krum", "bulyan", "clipped-mean"
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_the_weights_tell_how_the_model_was_made(method: Any) -> None:
    """Where the rule is a weighted sum, the told weights make the model of the told clients; Bulyan's do not."""
    rng = np.random.default_rng(4)
    rows = 1.0 + 0.1 * rng.standard_normal((9, 30))
    answer, model = ask_weights(ASKED, make_round(rows), rows, method=method)
    assert sorted([*answer.clients, *answer.left_out]) == [f"c{row}" for row in range(9)]
    if method in ("fedavg", "geometric-median", "krum", "multi-krum"):
        used = rows[[int(client[1:]) for client in answer.clients]]
        np.testing.assert_allclose(model, np.array(answer.weights) @ used, atol=1e-6)
        assert sum(answer.weights) == pytest.approx(1)
    assert answer.moved == pytest.approx(float(np.linalg.norm(model)), rel=1e-5)
    assert (answer.method, answer.privacy) == (method, None)
