"""A round's record in little room."""

import math
from typing import Any

import numpy as np
import pytest

from flstore_core.ids import ClientId
from flstore_core.overviews.numbers import MOST_METRICS, SPREAD, as_names, listed
from tests.overviews.rounds import numbers


def test_values_are_in_the_order_of_the_clients() -> None:
    made = numbers(3, {"b": {"loss": 0.5, "n": 7}, "a": {"loss": 0.25}}, accuracy=0.9)
    assert (made.number, made.committed_at, made.clients.tolist()) == (3, 103.0, [b"a", b"b"])
    assert made.values["loss"].tolist() == [0.25, 0.5]
    assert listed(made.values["n"]) == [None, 7.0]
    assert made.metrics == {"accuracy": 0.9}


def test_the_spread_is_that_of_numpy() -> None:
    values = [4.0, 1.0, 3.0, 9.0, 2.0]
    made = numbers(0, {f"c{index}": {"loss": value} for index, value in enumerate(values)})
    spread = dict(zip(SPREAD, made.spreads["loss"].tolist(), strict=True))
    assert (spread["low"], spread["p50"], spread["high"], spread["mean"], spread["count"]) == (1.0, 3.0, 9.0, 3.8, 5.0)
    assert spread["p10"] == pytest.approx(np.quantile(values, 0.1))


@pytest.mark.parametrize("value", [True, "0.5", None, math.nan, math.inf, 10**400, [1.0], {"a": 1}])
def test_what_is_no_finite_number_is_no_value(value: Any) -> None:
    made = numbers(0, {"a": {"loss": value}, "b": {"loss": 1}}, accuracy=value)
    assert listed(made.values["loss"]) == [None, 1.0]
    assert made.metrics == {}


def test_a_round_without_clients_has_no_values() -> None:
    made = numbers(0, {}, loss=1.0)
    assert (made.values, made.metrics, len(made.clients)) == ({}, {"loss": 1.0}, 0)
    assert [len(each) for each in made.find(as_names([ClientId("a")]))] == [0, 0]


def test_of_thousands_of_names_those_are_kept_that_most_clients_sent() -> None:
    flood = {f"m{index}": 1.0 for index in range(1000)}
    made = numbers(0, {"a": {**flood, "z": 1.0}, "b": {"z": 2.0}, "c": {"z": 3.0}}, **flood)
    assert len(made.values) == len(made.metrics) == MOST_METRICS
    assert "z" in made.values


def test_a_thousand_clients_take_a_few_kilobytes() -> None:
    made = numbers(0, {f"client-{index:04}": {"loss": 1.0, "n": 2} for index in range(1000)})
    arrays = [made.clients, *made.values.values(), *made.spreads.values()]
    assert sum(array.nbytes for array in arrays) < made.nbytes < 40_000
