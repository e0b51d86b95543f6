"""Shapley values by evaluation: against enumeration of all orders, a closed form, and a planted noisy client."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from flstore_core.workloads.contribution_evaluated import ContributionEvaluatedParams, exact, sampled
from tests.models import digits
from tests.models.fixtures import ask
from tests.services.models import JobOverHttp, problem

Utility = Callable[[frozenset[int]], float]


def any_utility(seed: int) -> Utility:
    """Return a fixed random game."""
    known: dict[frozenset[int], float] = {}
    rng = np.random.default_rng(seed)
    return lambda subset: known.setdefault(subset, float(rng.random()))


def by_all_orders(worth: Utility, count: int) -> list[float]:
    values = np.zeros(count)
    orders = list(permutations(range(count)))
    for order in orders:
        for place, row in enumerate(order):
            before = frozenset(order[:place])
            values[row] += (worth(before | {row}) - worth(before)) / len(orders)
    return [float(value) for value in values]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_exact_values_are_the_mean_over_all_orders(count: int) -> None:
    worth = any_utility(count)
    values, errors = exact(worth, count)
    assert values.tolist() == pytest.approx(by_all_orders(worth, count))
    assert np.isnan(errors).all()


@pytest.mark.parametrize("method", ["gtg", "tmc"])
def test_sampled_values_lie_within_their_standard_errors(method: str) -> None:
    worth = any_utility(1)
    params = ContributionEvaluatedParams(method=method, permutations=400, tolerance=0.0)  # type: ignore[arg-type]
    values, errors = sampled(worth, 5, params)
    assert (np.abs(values - by_all_orders(worth, 5)) <= 4 * errors).all()
    assert values.sum() == pytest.approx(worth(frozenset(range(5))) - worth(frozenset()))


def test_in_an_additive_game_everybody_gets_their_own() -> None:
    own = [0.5, -0.2, 0.1, 0.0]
    values, errors = sampled(
        lambda subset: sum(own[row] for row in subset), 4, ContributionEvaluatedParams(tolerance=0.0)
    )
    assert values.tolist() == pytest.approx(own)
    assert errors.max() == pytest.approx(0.0, abs=1e-12)


def test_a_round_that_changed_nothing_is_worth_nothing_and_costs_two_evaluations() -> None:
    asked: list[frozenset[int]] = []

    def worth(subset: frozenset[int]) -> float:
        asked.append(subset)
        return 0.5

    values, _ = sampled(worth, 6, ContributionEvaluatedParams(method="gtg"))
    assert not values.any()
    assert len(asked) == 2


def test_the_client_trained_on_noise_contributes_least(digits_job: JobOverHttp) -> None:
    found = ask(digits_job, "contribution-evaluated", round=1, method="exact", utility="loss")
    assert found["shares"][-1]["client"] == digits.FAULTY
    assert sum(each["value"] for each in found["shares"]) == pytest.approx(found["after"] - found["before"])
    assert found["evaluations"] == 2**digits.CLIENTS
    sampled_ = ask(digits_job, "contribution-evaluated", round=1, method="gtg", utility="loss", permutations=24)
    assert sampled_["shares"][-1]["client"] == digits.FAULTY
    assert all(each["standard_error"] is not None for each in sampled_["shares"])


def test_leaving_one_out_is_what_plain_averaging_says(digits_job: JobOverHttp) -> None:
    trained = digits.trained()
    found = ask(digits_job, "contribution-evaluated", round=1, method="leave-one-out", utility="loss")
    after = digits.loss_and_accuracy(trained.aggregate, trained.inputs, trained.targets)[0]
    before = digits.loss_and_accuracy(trained.base, trained.inputs, trained.targets)[0]
    assert (-found["after"], -found["before"]) == pytest.approx((after, before), rel=1e-4)
    for each in found["shares"]:
        others = {name: state for name, state in trained.clients.items() if name != each["client"]}
        without = digits.average(others, trained.examples)
        loss = digits.loss_and_accuracy(without, trained.inputs, trained.targets)[0]
        assert each["value"] == pytest.approx(loss - after, abs=1e-4)


def test_a_round_without_a_base_is_told(digits_job: JobOverHttp) -> None:
    answer = digits_job.run("contribution-evaluated", round=0)
    assert "at least 2" in problem(answer, 422, "not-enough-data")["detail"]
