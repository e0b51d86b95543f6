"""Contributions by evaluation: against plain averaging, and a planted noisy client."""

import pytest

from tests.models import digits
from tests.models.fixtures import ask
from tests.running.jobs import JobOverHttp, problem


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
