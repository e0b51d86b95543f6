"""Convergence against SciPy's Theil-Sen slope, and on histories whose course is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import theilslopes

from flstore_core.errors import InvalidParameters, NotEnoughData
from flstore_core.records import Round
from flstore_core.workloads import RoundData
from flstore_core.workloads.convergence import Convergence, ConvergenceParams, theil_sen
from tests.workloads.rounds import Index, ask, member

ASKED = Convergence()


def history(values: list[float], metric: str = "loss") -> list[RoundData]:
    return [RoundData(Round(number, None, (), metrics={metric: value})) for number, value in enumerate(values)]


@given(st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=3, max_size=15))
def test_the_trend_is_scipys(values: list[float]) -> None:
    places = np.array([2.0 * place for place in range(len(values))])
    assert theil_sen(places, np.array(values)) == pytest.approx(theilslopes(values, places)[0], abs=1e-9)


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([10 - 0.5 * r for r in range(12)], "improving"),
        ([1 + 0.1 * r for r in range(12)], "diverging"),
        ([3 * 0.3**r + 1 for r in range(30)], "plateau"),
        ([10.0 - 0.5 * r if r != 9 else 500.0 for r in range(12)], "improving"),
        ([0.0] * 5, "plateau"),
    ],
)
def test_states(values: list[float], state: str) -> None:
    assert ask(ASKED, history(values)).state == state
    rising = [-value for value in values]
    assert ask(ASKED, history(rising, "accuracy"), metric="accuracy", better="higher").state == state


@pytest.mark.parametrize(("target", "rounds"), [(3.0, 4), (3.2, 4), (5.0, 0), (9.0, 0), (None, None)])
def test_rounds_to_a_target(target: float | None, rounds: int | None) -> None:
    answer = ask(ASKED, history([10, 9.5, 9, 8.5, 8, 7.5, 7, 6.5, 6, 5.5, 5]), target=target)
    assert (answer.slope, answer.best, answer.best_round) == (-0.5, 5, 10)
    assert answer.rounds_to_target == rounds


def test_a_target_that_is_not_neared_has_no_date() -> None:
    assert ask(ASKED, history([1.0, 2, 3]), target=0.5).rounds_to_target is None
    assert ask(ASKED, history([1.0, 1, 1]), target=0.5).rounds_to_target is None


def test_where_a_round_has_no_metric_its_clients_mean_by_examples_stands_in() -> None:
    rounds = [
        RoundData(
            Round(
                number,
                None,
                (member("a", {"loss": 4.0, "num_examples": 1}), member("b", {"loss": 2.0, "num_examples": 3})),
            )
        )
        for number in range(3)
    ]
    assert ask(ASKED, rounds).values == [2.5] * 3


def test_too_short_a_history_is_refused() -> None:
    rounds = [*history([1.0, 2.0]), RoundData(Round(9, None, ()))]
    with pytest.raises(NotEnoughData, match=r"2 of 3 round\(s\) have a numeric metric 'loss'; .* at least 3"):
        ask(ASKED, rounds)
    assert len(ask(ASKED, [*rounds, RoundData(Round(11, None, (), metrics={"loss": 0.5}))]).rounds) == 3


def test_the_documented_example() -> None:
    answer = ask(ASKED, history([5.0, 4.0, 9.0, 2.0]), target=0.0)
    assert (answer.slope, answer.rounds_to_target, answer.best_round) == (-1.0, 2, 3)


def test_the_trend_is_that_of_the_newest_rounds_and_the_best_of_all() -> None:
    values = [0.5, *(9.0 - number for number in range(8))]
    answer = ask(ASKED, history(values), window=4)
    assert (answer.slope, answer.best, answer.best_round, answer.newest) == (-1.0, 0.5, 0, 2.0)
    assert ask(ASKED, history([1.0, 2, 3, 3, 3, 3]), window=4).state == "plateau"


@pytest.mark.parametrize(("tolerance", "state"), [(0.09, "improving"), (0.11, "plateau")])
def test_the_tolerance_is_a_share_of_the_median_magnitude(tolerance: float, state: str) -> None:
    """Values fall by 1 a round around a median of 10."""
    assert ask(ASKED, history([12.0, 11, 10, 9, 8]), tolerance=tolerance).state == state


def test_only_a_range_of_rounds_is_followed() -> None:
    assert ASKED.select(ConvergenceParams(first=2, last=4), Index(committed=range(9))) == [2, 3, 4]


def test_values_too_large_to_compute_with_are_refused() -> None:
    with pytest.raises(InvalidParameters, match=r"'loss' reaches 1e\+300 .* within ±1e\+100"):
        ask(ASKED, history([1.0, 2.0, -1e300]))
