"""Clients' metrics as rows, and what counts as a scalar, a number or a round's metric."""

import math
from typing import Any

import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.records import Round
from flstore_core.workloads.shared.metric_rows import (
    RoundMetric,
    Row,
    check_magnitudes,
    metric_names,
    round_metric,
    rows_of,
)
from tests.workloads.rounds import member


def test_rows_come_by_round_and_then_client() -> None:
    rounds = [
        Round(1, None, (member("a", {"loss": 1}), member("b"))),
        Round(2, None, ()),
        Round(3, None, (member("a"),)),
    ]
    assert [(row.round, row.client, dict(row.metrics)) for row in rows_of(rounds)] == [
        (1, "a", {"loss": 1}),
        (1, "b", {}),
        (3, "a", {}),
    ]
    assert metric_names(rows_of(rounds)) == ["loss"]


@pytest.mark.parametrize(
    ("value", "scalar", "number"),
    [
        (3, 3, 3.0),
        (0.5, 0.5, 0.5),
        ("fast", "fast", None),
        (True, True, None),
        (None, None, None),
        ([1, 2], None, None),
        ({"a": 1}, None, None),
        (float("nan"), pytest.approx(float("nan"), nan_ok=True), None),
        (float("inf"), float("inf"), None),
    ],
)
def test_values_are_scalars_and_numbers_are_finite(value: Any, scalar: Any, number: float | None) -> None:
    row = Row(1, "a", {"metric": value})
    assert row.value("metric") == scalar
    assert row.number("metric") == number


def test_a_rows_round_and_client_are_values_too_and_cannot_be_shadowed() -> None:
    row = Row(7, "a", {"round": 1, "client": "b"})
    assert (row.value("round"), row.value("client"), row.number("round"), row.number("client")) == (7, "a", 7.0, None)
    assert row.value("missing") is None


def found(record: Round) -> RoundMetric:
    """Return the loss of a round that has one."""
    reported = round_metric(record, "loss")
    assert reported
    return reported


def test_a_rounds_own_metric_comes_before_its_clients() -> None:
    clients = (member("a", {"loss": 1.0}),)
    assert found(Round(1, None, clients, metrics={"loss": 5})) == RoundMetric(5.0)
    assert found(Round(1, None, clients, metrics={"loss": "high"})) == RoundMetric(1.0, [*clients])


def test_clients_are_averaged_by_their_examples_and_those_without_the_metric_do_not_count() -> None:
    clients = (
        member("a", {"loss": 1.0, "num_examples": 30}),
        member("b", {"loss": 4.0, "num_examples": 10}),
        member("c", {"num_examples": 1000}),
    )
    loss = found(Round(1, None, clients))
    assert loss.value == pytest.approx((30 * 1 + 10 * 4) / 40)
    assert [each.client for each in loss.averaged] == ["a", "b"]


def test_where_nobody_weighs_more_than_nothing_all_count_alike() -> None:
    clients = (member("a", {"loss": 1.0, "num_examples": 0}), member("b", {"loss": 2.0, "num_examples": 0}))
    assert found(Round(1, None, clients)) == RoundMetric(1.5, [*clients])


def test_weights_near_the_end_of_their_range_do_not_overflow() -> None:
    clients = (member("a", {"loss": 1e300, "num_examples": 9e14}), member("b", {"loss": 1e300}))
    assert found(Round(1, None, clients)).value == pytest.approx(1e300)


@pytest.mark.parametrize("clients", [(), (member("a"),), (member("a", {"loss": "high"}),)])
def test_there_is_none_where_nobody_tells_it(clients: Any) -> None:
    assert round_metric(Round(1, None, clients), "loss") is None


@pytest.mark.parametrize("values", [[], [0.0], [-1e100, 1e100]])
def test_magnitudes_whose_squares_are_finite_are_computed_with(values: list[float]) -> None:
    check_magnitudes("loss", values)
    assert math.isfinite(sum(value * value for value in values))


@pytest.mark.parametrize("value", [1.1e100, -1e308])
def test_others_are_refused_with_the_metric_and_its_size(value: float) -> None:
    with pytest.raises(InvalidParameters, match=r"metric 'loss' reaches .* too large to compute with"):
        check_magnitudes("loss", [1.0, value])


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_whole_numbers_beyond_floats_are_no_numbers(value: int) -> None:
    assert Row(1, "a", {"metric": value}).number("metric") is None
