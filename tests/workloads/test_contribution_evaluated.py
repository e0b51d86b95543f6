"""Contributions by evaluation: against plain averaging, and a planted noisy client."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.ids import JobId
from flstore_core.model_names import ModelName
from flstore_core.records import Job
from flstore_core.schema import Schema, TensorSpec
from flstore_core.workloads import Context, registry
from flstore_core.workloads.contribution_evaluated import (
    ContributionEvaluated,
    ContributionEvaluatedParams,
    most_evaluations,
)
from flstore_core.workloads.describe import answer as answer_of
from tests.fakes.models import linear
from tests.models import digits
from tests.models.fixtures import ask
from tests.running.jobs import JobOverHttp, problem
from tests.workloads.rounds import Artifacts
from tests.workloads.running import running_job
from tests.workloads.stored import Stored


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


ASKED = ContributionEvaluated()
RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((40, 2)).astype(np.float32)
TRUTH = np.array([[1.0, -2.0]])
BASE = np.zeros(2)
EXAMPLES = [1.0, 2.0, 3.0, 4.0]
CLIENTS = {name: TRUTH[0] + RNG.standard_normal(2) for name in "abcd"}
METHODS = ["gtg", "tmc", "exact", "leave-one-out"]


def regression(**changes: Any) -> Stored:
    """Return a job of four linear models of one target, of which the base knows nothing."""
    datasets = {"test": {"inputs": INPUTS, "targets": (INPUTS @ TRUTH.T).astype(np.float32)}}
    return running_job(linear(2, 1), CLIENTS, **{"base": BASE, "examples": EXAMPLES, "datasets": datasets, **changes})


def utility(names: Sequence[str]) -> float:
    """Return minus the mean squared error of the FedAvg of some clients, in float64."""
    weights = [weight for name, weight in zip(CLIENTS, EXAMPLES, strict=True) if name in names]
    vector = np.average([CLIENTS[name] for name in sorted(names)], axis=0, weights=weights) if names else BASE
    return -float(np.mean((INPUTS.astype(np.float64) @ (vector - TRUTH[0])) ** 2))


def by_all_orders() -> dict[str, float]:
    orders = list(permutations(CLIENTS))
    gains = [
        {name: utility(order[: place + 1]) - utility(order[:place]) for place, name in enumerate(order)}
        for order in orders
    ]
    return {name: sum(gain[name] for gain in gains) / len(orders) for name in CLIENTS}


def values(answer: Any) -> dict[str, float]:
    return {share.client: share.value for share in answer.shares}


def test_exact_values_are_the_mean_gain_over_all_orders() -> None:
    answer = regression().ask(ASKED, method="exact", utility="loss")
    assert values(answer) == pytest.approx(by_all_orders(), rel=1e-5, abs=1e-6)
    assert (answer.before, answer.after) == pytest.approx((utility(()), utility(tuple(CLIENTS))), rel=1e-5)
    assert sum(values(answer).values()) == pytest.approx(answer.after - answer.before)
    assert [share.value for share in answer.shares] == sorted(values(answer).values(), reverse=True)
    assert {share.standard_error for share in answer.shares} == {None}
    assert answer.evaluations == 2**4


def test_leaving_one_out_is_the_utility_lost_without_the_client() -> None:
    answer = regression().ask(ASKED, method="leave-one-out", utility="loss")
    everyone = utility(tuple(CLIENTS))
    expected = {name: everyone - utility(tuple(set(CLIENTS) - {name})) for name in CLIENTS}
    assert values(answer) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert answer.evaluations == 4 + 2


@pytest.mark.parametrize("method", ["gtg", "tmc"])
def test_sampled_values_lie_within_their_standard_errors(method: str) -> None:
    answer = regression().ask(ASKED, method=method, utility="loss", permutations=300, tolerance=0.0)
    expected = by_all_orders()
    for share in answer.shares:
        assert abs(share.value - expected[share.client]) <= 4 * share.standard_error + 1e-6
    assert answer.evaluations <= 2**4
    assert sum(values(answer).values()) == pytest.approx(answer.after - answer.before, rel=1e-5)


def test_the_same_seed_samples_the_same_orders() -> None:
    first, again, other = (
        regression().ask(ASKED, utility="loss", permutations=3, seed=seed).shares for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_round_that_changed_less_than_the_tolerance_is_worth_nothing_to_gtg() -> None:
    still = regression(base=np.average(list(CLIENTS.values()), axis=0, weights=EXAMPLES))
    answer = still.ask(ASKED, utility="loss", tolerance=1e-4)
    assert (set(values(answer).values()), answer.evaluations) == ({0.0}, 2)


def test_the_documented_example() -> None:
    """Ten targets of class 0; a model recognizes as many as it has positive parameters."""
    right = {"base": 5, "a": 7, "b": 6}
    vectors = {name: np.where(np.arange(10) < count, 1.0, -1.0) for name, count in right.items()}
    vectors["b"] *= 0.5  # so that the mean of a and b recognizes what a does

    def network(vector: Any, inputs: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        return [np.stack([vector, -vector], axis=1)[: len(inputs[0])]], {}

    datasets: Any = {"test": {"inputs": np.zeros((10, 2), np.float32), "targets": np.zeros(10, np.int64)}}
    clients = {"a": vectors["a"], "b": vectors["b"]}
    answer = running_job(network, clients, base=vectors["base"], datasets=datasets).ask(ASKED, method="exact")
    assert values(answer) == pytest.approx({"a": 0.15, "b": 0.05})


def test_the_utility_is_the_accuracy_by_default() -> None:
    targets = (INPUTS @ np.array([[1.0, 0.0], [0.0, 1.0]]).T).argmax(axis=1)
    datasets = {"test": {"inputs": INPUTS, "targets": targets}}
    right, wrong, flat = [1, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]
    job = running_job(linear(2, 2), {"a": right, "b": right, "x": wrong}, base=flat, datasets=datasets)
    answer = job.ask(ASKED, method="exact")
    assert answer.after == 1.0
    assert answer.before == np.mean(targets == 0)
    assert answer.shares[-1].client == "x"
    assert answer.shares[0].value == answer.shares[1].value > 0 > answer.shares[2].value


@pytest.mark.parametrize("method", METHODS)
def test_progress_never_exceeds_the_number_of_evaluations_announced(method: Any) -> None:
    job = regression()
    answer = job.ask(ASKED, method=method, utility="loss", permutations=3)
    assert job.access is not None
    assert [done for done, _ in job.access.steps] == list(range(answer.evaluations))
    (announced,) = {total for _, total in job.access.steps}
    assert answer.evaluations <= announced == most_evaluations(ASKED.params(method=method, permutations=3), 4)


@pytest.mark.parametrize(
    ("method", "permutations", "clients", "most"),
    [("exact", 9, 5, 32), ("leave-one-out", 9, 5, 7), ("gtg", 2, 10, 20), ("tmc", 10**5, 5, 32), ("gtg", 1, 4, 8)],
)
def test_the_greatest_number_of_evaluations(method: Any, permutations: int, clients: int, most: int) -> None:
    assert most_evaluations(ContributionEvaluatedParams(method=method, permutations=permutations), clients) == most


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(NotEnoughData, match=r"round 1 has 1 update\(s\); at least 2 are needed"):
        regression().ask(ASKED, clients=["a"])
    with pytest.raises(NotEnoughData, match="round 1 has no base, whose utility is needed; name a later round"):
        regression(base=None).ask(ASKED)
    with pytest.raises(InvalidParameters, match="set utility to 'loss'"):
        regression().ask(ASKED, utility="accuracy")
    with pytest.raises(NotFound, match="client in round 1 'z'"):
        regression().ask(ASKED, clients=["a", "z"])
    many = {f"c{row:02}": np.zeros(2) for row in range(13)}
    with pytest.raises(InvalidParameters, match="'exact' is for up to 12 clients, these are 13; use method 'gtg'"):
        running_job(linear(2, 1), many, base=BASE).ask(ASKED, method="exact")


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_client_whose_model_diverged_is_named() -> None:
    clients = {**CLIENTS, "e": np.full(2, 3e38)}
    datasets = {"test": {"inputs": 10 * np.abs(INPUTS), "targets": np.zeros((40, 1), np.float32)}}
    job = running_job(linear(2, 1), clients, base=BASE, datasets=datasets)
    with pytest.raises(InvalidParameters, match=r"the loss of the aggregate of 1:a.* is not finite"):
        job.ask(ASKED, utility="loss")


def test_tensors_that_no_average_has_are_named_and_so_are_clients_without_a_weight() -> None:
    schema = Schema.of([TensorSpec("w", "F32", (2,)), TensorSpec("steps", "I64", ()), TensorSpec("mask", "BOOL", (2,))])
    (_, data) = regression().rounds
    members = tuple(replace(each, metrics={}) if each.client == "b" else each for each in data.record.members)
    context = Context(
        Job(JobId("job"), schema),
        (replace(data, record=replace(data.record, members=members)),),
        Artifacts(),
        models=(*(ModelName(1, each.client) for each in members), ModelName(0)),
    )
    partial = {"values": np.ones(4), "errors": np.full(4, np.nan), "ends": np.ones(2), "count": np.ones(1)}
    found = answer_of(registry.get("contribution-evaluated"), [partial], context, ContributionEvaluatedParams(round=1))
    assert (found["unweighted"], found["tensors_left_out"]) == (["b"], ["steps", "mask"])
    assert list(found)[-2:] == ["unweighted", "tensors_left_out"]
