"""Differential testing: against the paper's formulation written out, and on planted faults."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.workloads.debug import common_without
from tests.models import digits
from tests.models.fixtures import ask
from tests.running.jobs import JobOverHttp, problem


@given(st.integers(3, 7), st.integers(1, 4), st.integers(1, 40), st.integers(0, 2**31))
def test_common_neurons_are_counted_as_sets_would_be(clients: int, inputs: int, neurons: int, seed: int) -> None:
    active = np.random.default_rng(seed).random((clients, inputs, neurons)) < 0.7
    found = common_without(np.packbits(active, axis=2))
    for row in range(inputs):
        for rest in combinations(range(clients), clients - 1):
            sets = [set(np.flatnonzero(active[client, row])) for client in rest]
            (left_out,) = set(range(clients)) - set(rest)
            assert found[left_out, row] == len(set.intersection(*sets))


def test_the_client_trained_on_noise_is_found(digits_job: JobOverHttp) -> None:
    found = ask(digits_job, "debug", round=1, inputs=20, dataset="test")
    assert found["faulty"] == [digits.FAULTY]
    assert found["suspects"][0]["client"] == digits.FAULTY
    assert sum(each["votes"] for each in found["suspects"]) == pytest.approx(1.0)
    assert found["neurons"] == 32 + 10


def test_it_is_found_on_inputs_drawn_without_any_data(digits_job: JobOverHttp) -> None:
    assert ask(digits_job, "debug", round=1, inputs=50)["faulty"] == [digits.FAULTY]


def test_the_same_seed_draws_the_same_inputs(digits_job: JobOverHttp) -> None:
    first, again, other = (ask(digits_job, "debug", round=1, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_two_clients_cannot_tell_which_is_faulty(digits_job: JobOverHttp) -> None:
    answer = digits_job.run("debug", round=1, clients=["c0", "c1"])
    assert "it takes 3" in problem(answer, 422, "not-enough-data")["detail"]
