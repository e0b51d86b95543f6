"""Sums of stored models: their algebra on names, and their vectors in slices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Member, Round
from flstore_core.workloads import SliceView
from flstore_core.workloads.methods.coordinatewise import squared_norm
from flstore_core.workloads.shared.weighted_models import (
    ModelKey,
    ModelSum,
    add,
    aggregate_sum,
    base_sum,
    distances,
    fedavg_sum,
    map_sums,
    members_of_sums,
    scale,
    vector_pieces,
)
from tests.workloads.rounds import member, schema_of, view

keys = st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", "aggregate"]).map(ClientId))
weights = st.integers(-4, 4).map(float)
sums: st.SearchStrategy[ModelSum] = st.dictionaries(keys, weights.filter(bool), max_size=4)


def key(number: int, client: str) -> ModelKey:
    return number, ClientId(client)


def client(name: str, num_examples: float) -> Member:
    return member(name, {"num_examples": num_examples})


def test_fedavg_weighs_members_by_their_examples() -> None:
    assert fedavg_sum(7, [client("a", 100), client("c", 300)]) == {key(7, "a"): 0.25, key(7, "c"): 0.75}


def test_members_without_examples_weigh_the_same() -> None:
    assert fedavg_sum(0, [client("a", 0), client("b", 0)]) == {key(0, "a"): 0.5, key(0, "b"): 0.5}


def test_an_aggregate_is_the_stored_one_or_fedavg() -> None:
    members = (client("a", 1), client("b", 1))
    stored = Round(3, None, members, member(AGGREGATE))
    assert aggregate_sum(stored) == {(3, AGGREGATE): 1.0}
    assert aggregate_sum(Round(3, None, members)) == {key(3, "a"): 0.5, key(3, "b"): 0.5}


def test_a_base_is_the_named_aggregate_or_zero() -> None:
    assert base_sum(Round(3, 2, ())) == {(2, AGGREGATE): 1.0}
    assert base_sum(Round(3, None, ())) == {}


@given(sums, sums, sums)
def test_addition_is_commutative_and_associative(one: ModelSum, two: ModelSum, three: ModelSum) -> None:
    assert add(one, two) == add(two, one)
    assert add(add(one, two), three) == add(one, add(two, three))
    assert add(one, {}) == one


@given(sums, st.floats(-8, 8))
def test_what_cancels_is_left_out(total: ModelSum, factor: float) -> None:
    assert add(total, scale(total, -1.0)) == {}
    assert scale(total, factor) == {model: factor * weight for model, weight in total.items()}


@given(sums)
def test_neither_addition_nor_scaling_changes_its_arguments(total: ModelSum) -> None:
    before = dict(total)
    add(total, {key(0, "a"): 1.0})
    scale(total, 2.0)
    assert dict(total) == before


def test_members_are_all_models_named_once_with_their_weight_in_each_sum() -> None:
    outputs: list[ModelSum] = [{key(1, "b"): 0.5, key(0, "a"): 2.0}, {key(1, "b"): 1.0}]
    references: list[ModelSum] = [{key(1, "c"): 1.0}, {}]
    found = members_of_sums(outputs, references, {key(1, "b"): 30.0})
    assert [(each.round, each.client, each.num_examples, each.weights) for each in found] == [
        (0, "a", 0.0, (2.0, 0.0, 0.0, 0.0)),
        (1, "b", 30.0, (0.5, 1.0, 0.0, 0.0)),
        (1, "c", 0.0, (0.0, 0.0, 1.0, 0.0)),
    ]


@given(st.integers(3, 200), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_sums_and_distances_over_slices_are_those_of_the_whole_vectors(size: int, slices: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    models: dict[ModelKey, NDArray[np.float32]] = {
        key(0, name): rng.standard_normal(size).astype(np.float32) for name in "abc"
    }
    outputs: list[ModelSum] = [{key(0, "a"): 0.5, key(0, "b"): -2.0}, {key(0, "c"): 1.0}]
    references: list[ModelSum] = [{key(0, "c"): 1.0}, {key(0, "c"): 1.0}]
    members = tuple(members_of_sums(outputs, references, {}))
    schema = schema_of(size)
    partials = [
        map_sums(
            SliceView(members, tuple(view(models[each.round, each.client], schema, index, slices) for each in members))
        )
        for index in range(slices)
    ]

    def vector(total: ModelSum) -> NDArray[np.float64]:
        return np.asarray(sum(weight * models[model].astype(np.float64) for model, weight in total.items()))

    for index, (output, reference) in enumerate(zip(outputs, references, strict=True)):
        pieces = vector_pieces(partials, index)
        assert len(pieces) == slices
        np.testing.assert_allclose(np.concatenate(pieces), vector(output), rtol=1e-6, atol=1e-6)
        assert distances(partials)[index] == pytest.approx(np.linalg.norm(vector(output) - vector(reference)), rel=1e-5)
    assert distances(partials)[1] == 0.0


def test_a_squared_norm_does_not_overflow() -> None:
    assert squared_norm(np.array([3e30, 4e30], np.float32)) == pytest.approx(25e60, rel=1e-6)
