"""Rounds, slices and contexts as workloads see them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import NotEnoughData, NotFound
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import Job, Round
from flstore_core.workloads import (
    Context,
    RoundData,
    SliceMember,
    SliceView,
    fedavg_weights,
    no_progress,
    unweighted,
)
from tests.workloads.rounds import Artifacts, make_round, member, schema_of, view

ROWS = np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 3]])
ROUND = make_round(ROWS, ["a", "b", "c"], number=4, examples=[1, 1, 2], aggregate=np.array([0.5, 1, 0]))
BARE = make_round(ROWS, ["a", "b", "c"], number=4, examples=[1, 1, 2])
UNMEASURED = RoundData(ROUND.record)


def test_members_are_all_or_the_named_ones_in_the_order_named_each_once() -> None:
    assert [each.client for each in ROUND.members()] == ["a", "b", "c"]
    assert [each.client for each in ROUND.members(["c", "a", "c"])] == ["c", "a"]


def test_a_client_that_is_not_in_the_round_is_named_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="client in round 4") as caught:
        ROUND.members(["a", "bb"])
    assert caught.value.extensions["nearest"] == ["b"]


def test_deltas_are_those_of_clients_and_never_of_the_aggregate() -> None:
    assert ROUND.deltas().members == ("a", "b", "c")
    assert ROUND.deltas().gram.diagonal().tolist() == [1, 4, 9]
    picked = ROUND.deltas(["c", "a"])
    assert (picked.members, picked.gram.tolist()) == (("c", "a"), [[9, 0], [0, 1]])


@pytest.mark.parametrize("clients", [None, ["a", "b"]])
def test_too_few_updates_are_counted_in_the_refusal(clients: list[str] | None) -> None:
    count = 3 if clients is None else 2
    with pytest.raises(NotEnoughData, match=rf"round 4 has {count} update\(s\); at least 5 are needed"):
        ROUND.deltas(clients, least=5)
    assert len(ROUND.deltas(clients, least=count).members) == count


def test_without_statistics_there_are_no_deltas_and_the_refusal_says_how_to_have_some() -> None:
    for ask in (UNMEASURED.deltas, UNMEASURED.aggregate, lambda: UNMEASURED.stores_aggregate):
        with pytest.raises(NotEnoughData, match="create the job with statistics 'exact'"):
            ask()


def test_a_stored_aggregate_is_its_own_row() -> None:
    statistics, weights = ROUND.aggregate()
    assert ROUND.stores_aggregate
    assert (statistics.members, weights.tolist()) == (("a", "b", "c", AGGREGATE), [0, 0, 0, 1])
    assert weights @ statistics.gram @ weights == pytest.approx(1.25)


def test_one_that_is_not_stored_is_fedavg_of_the_clients() -> None:
    statistics, weights = BARE.aggregate()
    assert not BARE.stores_aggregate
    assert weights.tolist() == [0.25, 0.25, 0.5]
    mean = np.average(ROWS, axis=0, weights=[1, 1, 2])
    assert weights @ statistics.gram @ weights == pytest.approx(mean @ mean)


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=20))
def test_fedavg_weighs_by_examples_and_equally_without_any(examples: list[float]) -> None:
    weights = fedavg_weights(examples)
    assert weights.sum() == pytest.approx(1)
    expected = np.array(examples) / sum(examples) if sum(examples) else np.full(len(examples), 1 / len(examples))
    np.testing.assert_allclose(weights, expected, atol=1e-12)


def test_negative_numbers_of_examples_count_as_none() -> None:
    assert fedavg_weights([-5, 1, 3]).tolist() == [0, 0.25, 0.75]
    assert fedavg_weights([-5, -1]).tolist() == [0.5, 0.5]


def test_clients_that_give_no_weight_are_named_once_and_zero_is_a_weight() -> None:
    none, zero, some = member("c"), member("b", {"num_examples": 0}), member("a", {"num-examples": 3})
    assert unweighted([none, zero, some], [member("a"), none]) == ["a", "c"]
    assert unweighted([zero, some]) == []
    assert unweighted() == unweighted([]) == []


def test_where_nobody_weighs_more_than_nothing_all_count_alike_and_are_named() -> None:
    nothing = [member(name, {"num_examples": 0}) for name in "ba"]
    assert unweighted(nothing, [member("c", {"num_examples": 1})]) == ["a", "b"]


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2) | st.just(10**400) | st.just([1])


@given(st.lists(st.dictionaries(st.sampled_from(["num_examples", "num-examples"]), values), min_size=1, max_size=6))
def test_whoever_is_not_named_weighs_what_it_gave(reported: list[dict[str, Any]]) -> None:
    members = [member(f"c{row}", metrics) for row, metrics in enumerate(reported)]
    named = unweighted(members)
    weights = fedavg_weights([each.num_examples for each in members])
    total = sum(each.num_examples for each in members) or 1.0
    for each, weight in zip(members, weights, strict=True):
        if each.client in named:
            assert weight == pytest.approx((1.0 if each.weight is None else 1 / len(members) * total) / total)
        else:
            assert each.weight is not None
            assert weight == pytest.approx(each.weight / total)


def test_a_slice_gives_its_members_weights_as_arrays() -> None:
    members = tuple(
        SliceMember(1, ClientId(name), examples, weights)
        for name, examples, weights in [("a", 5.0, (1.0, 0.0)), ("b", 7.0, (0.5, -1.0))]
    )
    seen = SliceView(members, tuple(view(row, schema_of(3)) for row in ROWS[:2]))
    assert seen.num_examples.tolist() == [5, 7]
    assert seen.weights.tolist() == [[1, 0], [0.5, -1]]
    assert seen.weights.dtype == np.float64


def test_a_context_of_one_round_gives_that_round() -> None:
    job = Job(JobId("job"), schema_of(9))
    assert Context(job, (ROUND,), Artifacts()).round is ROUND
    with pytest.raises(ValueError, match="too many"):
        _ = Context(job, (ROUND, BARE), Artifacts()).round
    with pytest.raises(ValueError, match="not enough"):
        _ = Context(job, (), Artifacts()).round


def test_an_open_round_is_a_round_like_any_other() -> None:
    opened = RoundData(Round(9, None, (member("a"),)), ROUND.deltas(["a"]))
    assert not opened.record.committed
    assert opened.deltas().gram.tolist() == [[1.0]]


def test_progress_may_be_reported_to_nobody() -> None:
    context = Context(Job(JobId("job"), schema_of(9)), (), Artifacts())
    assert context.progress is no_progress
    context.progress(1, 2)
