"""Contributions against brute force over orders, closed forms, and planted truth."""

import math
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads import RoundData
from flstore_core.workloads.contribution import Contribution
from flstore_core.workloads.methods.shapley import exact
from flstore_core.workloads.shared.contributions import ContributionParams, measure
from tests.workloads.federated import Setting, train
from tests.workloads.rounds import Index, ask, make_round

ASKED = Contribution()
Rows = np.ndarray[Any, Any]


def worth(rows: Rows, weights: Rows, members: list[int]) -> float:
    """Cosine similarity of the members' mean with everybody's, on the vectors themselves."""
    if not members:
        return 0.0
    part, whole = weights[members] @ rows[members], weights @ rows
    return float(part @ whole / np.linalg.norm(part) / np.linalg.norm(whole))


def by_orders(rows: Rows, weights: Rows) -> Rows:
    """Shapley's definition: mean gain over all orders in which clients can join."""
    values = np.zeros(len(rows))
    for order in permutations(range(len(rows))):
        for place, player in enumerate(order):
            before = list(order[:place])
            values[player] += worth(rows, weights, [*before, player]) - worth(rows, weights, before)
    return values / math.factorial(len(rows))


def values_of(answer: Any, clients: int) -> list[float]:
    by_client = {part.client: part.value for part in answer.contributions}
    return [by_client[f"c{row}"] for row in range(clients)]


@given(st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_exact_values_are_the_mean_gain_over_all_orders(clients: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, examples = rng.standard_normal((clients, 12)) + 0.5, rng.integers(1, 9, clients).astype(float)
    answer = ask(ASKED, make_round(rows, examples=examples.tolist()), method="shapley")
    expected = by_orders(rows, examples / examples.sum())
    np.testing.assert_allclose(values_of(answer, clients), expected, atol=1e-5)
    assert answer.total == pytest.approx(1.0, abs=1e-5)


def test_the_closed_form_is_the_shapley_value_of_the_projection() -> None:
    rng = np.random.default_rng(0)
    rows, weights = rng.standard_normal((5, 12)) + 0.5, np.array([0.1, 0.2, 0.3, 0.1, 0.3])
    whole = weights @ rows
    projection = exact(lambda members: members @ (weights * (rows @ whole)) / (whole @ whole), 5)
    answer = ask(ASKED, make_round(rows, examples=(weights * 10).tolist()))
    np.testing.assert_allclose(values_of(answer, 5), projection, atol=1e-6)


def test_leaving_one_out_by_the_definition() -> None:
    rows, weights = np.random.default_rng(1).standard_normal((4, 9)) + 0.4, np.full(4, 0.25)
    answer = ask(ASKED, make_round(rows), method="leave-one-out")
    expected = [1 - worth(rows, weights, [other for other in range(4) if other != row]) for row in range(4)]
    np.testing.assert_allclose(values_of(answer, 4), expected, atol=1e-5)


def test_the_estimate_lies_within_its_standard_errors() -> None:
    rows = np.random.default_rng(2).standard_normal((9, 30)) + 0.3
    gram, weights = rows @ rows.T, np.full(9, 1 / 9)
    truth = measure(gram, weights, ContributionParams(method="shapley")).values
    found = measure(gram, weights, ContributionParams(method="monte-carlo", permutations=2000))
    assert (found.errors > 0).all()
    assert np.abs((found.values - truth) / found.errors).max() < 4
    assert np.sqrt((((found.values - truth) / found.errors) ** 2).mean()) > 0.3


def test_the_same_seed_gives_the_same_estimate() -> None:
    data = make_round(np.random.default_rng(0).standard_normal((5, 9)))
    once, again = (ask(ASKED, data, method="monte-carlo", seed=3) for _ in range(2))
    assert once == again


def test_more_clients_than_can_be_enumerated_are_pointed_to_the_estimate() -> None:
    with pytest.raises(InvalidParameters, match=r"13 clients.*monte-carlo"):
        ask(ASKED, make_round(np.random.default_rng(0).standard_normal((13, 9))), method="shapley")


@pytest.mark.parametrize("method", ["alignment", "leave-one-out", "shapley", "monte-carlo"])
def test_zero_equal_and_single_updates_have_defined_answers(method: str) -> None:
    zeros = ask(ASKED, make_round(np.zeros((3, 6))), method=method)
    assert [part.value for part in zeros.contributions] == [0, 0, 0]
    equal = values_of(ask(ASKED, make_round(np.ones((3, 6))), method=method, permutations=4000), 3)
    np.testing.assert_allclose(equal, np.full(3, 0.0 if method == "leave-one-out" else 1 / 3), atol=0.03)
    assert ask(ASKED, make_round(np.ones((1, 6))), method=method).contributions[0].value == pytest.approx(1)


@cache
def trained() -> list[Rows]:
    """Return the deltas of the rounds of a training in which client 4 has its labels turned around."""
    return [each.deltas for each in train(Setting(attackers={4: "label-flip"}, clients=10, rounds=6, seed=3))]


@pytest.mark.parametrize("method", ["alignment", "shapley", "monte-carlo"])
def test_over_a_training_a_client_with_turned_labels_contributes_least(method: str) -> None:
    """A single round says little of a client with few digits."""
    params = ContributionParams(method=method)  # type: ignore[arg-type]
    totals = sum(measure(deltas @ deltas.T, np.full(10, 0.1), params).values for deltas in trained())
    assert int(np.argmin(totals)) == 4


@given(st.integers(2, 6), st.integers(2, 5), st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_slices_do_not_change_contributions(clients: int, slices: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((clients, 50)) + 0.5
    one, many = (
        values_of(ask(ASKED, make_round(rows, slices=count), method="shapley"), clients) for count in (1, slices)
    )
    np.testing.assert_allclose(one, many, atol=1e-6)


def test_the_documented_example() -> None:
    answer = ask(ASKED, make_round(np.array([[4.0, 0, 0], [1, 0, 0], [-1, 0, 0]]), number=2))
    assert [part.client for part in answer.contributions] == ["c0", "c1", "c2"]
    assert [part.value for part in answer.contributions] == pytest.approx([1.0, 0.25, -0.25])
    assert (answer.round, answer.method, answer.total) == (2, "alignment", pytest.approx(1.0))
    assert {part.standard_error for part in answer.contributions} == {0.0}


def test_only_named_clients_play_and_unknown_ones_are_refused() -> None:
    data = make_round(np.array([[4.0, 0, 0], [1, 0, 0], [-1, 0, 0]]))
    assert values_of(ask(ASKED, data, clients=["c1", "c0"]), 2) == pytest.approx([0.8, 0.2])
    with pytest.raises(NotFound, match="client in round 0 'c5'"):
        ask(ASKED, data, clients=["c5"])
    with pytest.raises(NotEnoughData, match="statistics 'exact'"):
        ask(ASKED, RoundData(data.record))
    with pytest.raises(NotFound, match="round 3 has no updates"):
        ASKED.select(ContributionParams(round=3), Index(committed=[1]))


def test_a_client_with_more_examples_weighs_more() -> None:
    rows = np.array([[1.0, 0, 0], [1, 0, 0]])
    assert values_of(ask(ASKED, make_round(rows, examples=[3, 1])), 2) == pytest.approx([0.75, 0.25])
