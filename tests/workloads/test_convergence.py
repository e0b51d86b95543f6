"""Convergence against SciPy's Theil-Sen slope, and on histories whose course is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import theilslopes

from flstore_core.errors import NotEnoughData
from flstore_core.records import Round
from flstore_core.workloads import RoundData
from flstore_core.workloads.convergence import Convergence, theil_sen
from tests.workloads.rounds import ask, member
from tests.workloads.test_metrics import rounds_of

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
    with pytest.raises(NotEnoughData, match=r"2 round\(s\) have 'loss'"):
        ask(ASKED, [*history([1.0, 2.0]), *rounds_of({"a": {}})])
