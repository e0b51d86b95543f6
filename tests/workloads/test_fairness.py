"""Fairness by the closed forms of its indices."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads.fairness import Fairness, FairnessParams, jain
from tests.workloads.rounds import Index, ask, rounds_of

ASKED = Fairness()


@pytest.mark.parametrize(("values", "index"), [([3, 3, 3], 1), ([1, 0, 0, 0], 0.25), ([1, 2, 3], 36 / 42), ([0, 0], 1)])
def test_jains_index_by_hand(values: list[float], index: float) -> None:
    assert jain(np.array(values, float)) == pytest.approx(index)


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=20))
def test_jains_index_lies_between_one_for_all_and_alike(values: list[float]) -> None:
    assert 1 / len(values) - 1e-9 <= jain(np.array(values)) <= 1 + 1e-9


def test_each_clients_newest_value_counts() -> None:
    history = rounds_of({"a": {"accuracy": 0.1}, "b": {"accuracy": 0.8}}, {"a": {"accuracy": 0.6}, "c": {}})
    answer = ask(ASKED, history)
    assert (answer.mean, answer.std) == pytest.approx((0.7, 0.1))
    assert answer.jain == pytest.approx(1.4**2 / (2 * (0.36 + 0.64)))
    assert (answer.clients, answer.reporting) == (3, 2)
    assert answer.participations == {"a": 2, "b": 1, "c": 1}
    assert answer.participation_jain == pytest.approx(16 / (3 * 6))


@pytest.mark.parametrize(("better", "worst", "best"), [("higher", 0.5, 18.5), ("lower", 18.5, 0.5)])
def test_the_worst_decile_is_at_the_end_that_is_bad(better: str, worst: float, best: float) -> None:
    history = rounds_of({f"c{value}": {"loss": float(value)} for value in range(20)})
    answer = ask(ASKED, history, metric="loss", better=better)
    assert (answer.worst_decile, answer.best_decile) == (worst, best)


def test_a_metric_nobody_reported_and_empty_rounds_are_named() -> None:
    with pytest.raises(NotFound, match="nearest: accuracy"):
        ask(ASKED, rounds_of({"a": {"accuracy": 1.0}}), metric="acuracy")
    with pytest.raises(NotEnoughData, match="no client took part in these rounds; choose others"):
        ask(ASKED, rounds_of({}))


@pytest.mark.parametrize("value", [1e101, -1e308])
def test_values_too_large_to_compute_with_are_refused(value: float) -> None:
    with pytest.raises(InvalidParameters, match=r"'accuracy' reaches .* too large to compute with"):
        ask(ASKED, rounds_of({"a": {"accuracy": value}, "b": {"accuracy": 1.0}}))


@pytest.mark.parametrize("value", [True, "0.9", None, [0.9], 10**400])
def test_what_is_no_number_counts_as_not_reported(value: Any) -> None:
    answer = ask(ASKED, rounds_of({"a": {"accuracy": 0.5}, "b": {"accuracy": value}}))
    assert (answer.clients, answer.reporting, answer.mean) == (2, 1, 0.5)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40))
def test_mean_deviation_and_deciles_are_numpys(values: list[float]) -> None:
    answer = ask(ASKED, rounds_of({f"c{row:02}": {"accuracy": value} for row, value in enumerate(values)}))
    assert (answer.mean, answer.std) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values)))
    tenth = 1 + (len(values) - 1) // 10
    assert answer.worst_decile == pytest.approx(np.mean(sorted(values)[:tenth]))
    assert answer.best_decile == pytest.approx(np.mean(sorted(values)[-tenth:]))


def test_the_range_of_rounds_is_the_callers() -> None:
    assert ASKED.select(FairnessParams(first=1), Index(committed=[0, 1, 2])) == [1, 2]
