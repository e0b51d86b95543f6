"""Differential testing: against the paper's formulation written out, and on planted faults."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads import InputSpec
from flstore_core.workloads.debug import Debug, common_without
from tests.fakes.models import linear
from tests.models import digits
from tests.models.fixtures import ask
from tests.running.jobs import JobOverHttp, problem
from tests.workloads.running import FLOATS, running_job
from tests.workloads.stored import Stored


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


ASKED = Debug()
DATASETS = {"range": {"inputs": np.array([[2.0, 5.0], [3.0, 4.0]], np.float32)}}


def by_neurons(active: dict[str, set[int]], neurons: int = 11) -> Stored:
    """Return a job whose models have these neurons active on every input."""

    def network(vector: Any, inputs: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        output = np.tile(vector, (len(inputs[0]), 1))
        return [output], {"first": output[:, :4], "second": output[:, 4:]}

    clients = {name: np.isin(np.arange(neurons), list(numbers)).astype(np.float32) for name, numbers in active.items()}
    return running_job(network, clients, datasets=DATASETS)


def test_the_documented_example() -> None:
    answer = by_neurons({"a": {1, 2, 3}, "b": {1, 2, 4}, "c": {5, 6}}).ask(ASKED)
    assert (answer.faulty, answer.neurons, answer.round) == (["c"], 11, 1)
    assert {suspect.client: (suspect.votes, suspect.common) for suspect in answer.suspects} == {
        "a": (0, 0), "b": (0, 0), "c": (1, 2)
    }  # fmt: skip
    assert answer.suspects[0].client == "c"


def test_clients_that_tie_share_the_vote_and_nobody_is_faulty() -> None:
    answer = by_neurons({"a": {1}, "b": {1}, "c": {1}}).ask(ASKED)
    assert answer.faulty == []
    assert [suspect.votes for suspect in answer.suspects] == pytest.approx([1 / 3] * 3)


def test_several_faulty_clients_are_found_one_after_the_other() -> None:
    benign = {1, 2, 3, 4, 5, 6}
    active = {"a": benign, "b": benign, "c": benign, "x": {1}, "y": {2}}
    assert by_neurons({**active, "y": {1, 2}}).ask(ASKED, faults=2).faulty == ["x", "y"]
    assert set(by_neurons({**active, "x": {1, 2}, "y": {1}}).ask(ASKED, faults=2).faulty) == {"x", "y"}


@pytest.mark.parametrize(("threshold", "faulty"), [(0.5, ["x"]), (0.1, []), (2.0, [])])
def test_a_neuron_is_active_above_the_threshold(threshold: float, faulty: list[str]) -> None:
    def network(vector: Any, inputs: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        return [], {"only": np.tile(vector, (len(inputs[0]), 1))}

    job = running_job(network, {"a": [1, 1], "b": [1, 1], "x": [0.3, 0.3]})
    assert job.ask(ASKED, threshold=threshold).faulty == faulty


def test_random_inputs_are_uniform_over_kaimings_range_or_that_of_a_data_set() -> None:
    shown: list[Any] = []

    def network(vector: Any, inputs: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        shown.append(inputs[0])
        return [], {"only": inputs[0]}

    job = running_job(network, {name: [0] for name in "abc"}, datasets=DATASETS)
    job.ask(ASKED, inputs=400)
    bound = (6 / 2) ** 0.5
    assert shown[0].shape == (400, 2)
    assert shown[0].dtype == np.float32
    assert np.abs(shown[0]).max() == pytest.approx(bound, rel=0.05)
    assert shown[0].std() == pytest.approx(bound / 3**0.5, rel=0.1)
    job.ask(ASKED, inputs=400, dataset="range")
    assert (shown[-1].min(), shown[-1].max()) == (pytest.approx(2, abs=0.1), pytest.approx(5, abs=0.1))
    np.testing.assert_array_equal(shown[0], shown[1])
    job.ask(ASKED, inputs=400, seed=1)
    assert (shown[0] != shown[-1]).any()


def test_whole_numbers_are_drawn_from_those_of_the_data_set() -> None:
    shown: list[Any] = []

    def network(vector: Any, inputs: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        shown.append(inputs)
        return [], {"only": inputs[0].astype(np.float32)}

    tokens = InputSpec("tokens", np.dtype(np.int64), (None, None))
    masks = InputSpec("mask", np.dtype(np.float32), (None, 5))
    datasets = {"tokens": {"inputs": np.array([[3, 4, 7]])}}
    job = running_job(network, {name: [0] for name in "abc"}, datasets=datasets, inputs=[tokens, masks])
    job.ask(ASKED, inputs=200, dataset="tokens")
    numbers, floats = shown[0]
    assert (numbers.shape, numbers.dtype, set(numbers.ravel().tolist())) == ((200, 3), np.int64, {3, 4, 5, 6, 7})
    assert floats.shape == (200, 5)


def test_progress_is_reported_between_models() -> None:
    job = by_neurons({"a": {1}, "b": {1}, "c": {2}})
    job.ask(ASKED)
    assert job.access is not None
    assert job.access.steps == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize(
    ("inputs", "params", "error", "said"),
    [
        ([FLOATS], {"faults": 2}, NotEnoughData, r"has 3 update\(s\); it takes 4 to tell 2 faulty"),
        ([FLOATS], {"clients": ["a", "b", "z"]}, NotFound, "client in round 1 'z'"),
        ([FLOATS], {"dataset": "none"}, NotFound, "no data set 'none'"),
        ([InputSpec("x", np.dtype(np.float32), (None, None))], {}, InvalidParameters, "'x' has open sizes .*a dataset"),
        ([InputSpec("x", np.dtype(np.int64), (None, 2))], {}, InvalidParameters, "'x' is int64; name a dataset"),
    ],
)
def test_what_cannot_be_tested_is_refused(
    inputs: list[InputSpec], params: dict[str, Any], error: type[Exception], said: str
) -> None:
    job = running_job(linear(2, 1), {name: [1, 1] for name in "abc"}, inputs=inputs)
    with pytest.raises(error, match=said):
        job.ask(ASKED, **params)


def test_a_program_without_layers_is_refused() -> None:
    job = running_job(lambda vector, inputs: ([], {}), {name: [1] for name in "abc"})
    with pytest.raises(InvalidParameters, match="no linear or convolutional layer whose neurons can be compared"):
        job.ask(ASKED)
