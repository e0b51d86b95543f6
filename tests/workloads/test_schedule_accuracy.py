"""The choice of clients by accuracy, against bare PyTorch."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads.schedule_accuracy import ScheduleAccuracy
from tests.fakes.models import Array, Layers, linear
from tests.models import digits
from tests.models.fixtures import ask
from tests.running.jobs import JobOverHttp
from tests.workloads.running import running_job
from tests.workloads.stored import Stored


@pytest.mark.parametrize(("prefer", "sign"), [("best", 1), ("worst", -1)])
def test_the_clients_chosen_are_those_a_bare_loop_puts_first(digits_job: JobOverHttp, prefer: str, sign: int) -> None:
    trained = digits.trained()
    losses = {
        name: digits.loss_and_accuracy(state, trained.inputs, trained.targets)[0]
        for name, state in trained.clients.items()
    }
    found = ask(digits_job, "schedule-accuracy", round=1, k=3, prefer=prefer)
    expected = sorted(losses, key=lambda name: sign * losses[name])
    assert [each["client"] for each in found["ranking"]] == expected
    assert found["chosen"] == expected[:3]
    assert [each["chosen"] for each in found["ranking"]] == [True] * 3 + [False] * 3


def test_a_client_trained_on_noise_is_never_chosen(digits_job: JobOverHttp) -> None:
    found = ask(digits_job, "schedule-accuracy", round=1, k=digits.CLIENTS - 1)
    assert digits.FAULTY not in found["chosen"]


def test_more_clients_than_there_are_means_all(digits_job: JobOverHttp) -> None:
    assert len(ask(digits_job, "schedule-accuracy", round=1, k=100)["chosen"]) == digits.CLIENTS


ASKED = ScheduleAccuracy()
INPUTS = np.array([[1, 0], [0, 1]], np.float32)


def scored(losses: dict[str, float]) -> Stored:
    """Return a job whose clients' models have these mean squared errors: the target is 0, the output √loss."""
    clients = {name: np.full(2, loss**0.5) for name, loss in losses.items()}
    datasets = {"test": {"inputs": INPUTS, "targets": np.zeros((2, 1), np.float32)}}
    return running_job(linear(2, 1), clients, datasets=datasets)


def returning(outputs: Mapping[float, Array], targets: Array) -> Stored:
    """Return a job of two clients, whose models return the output for their one parameter whatever they are given."""

    def network(vector: Array, inputs: Sequence[Array]) -> tuple[Sequence[Array], Layers]:
        return [outputs[float(vector[0])]], {}

    datasets = {"test": {"inputs": INPUTS, "targets": targets}}
    return running_job(network, {"a": [0.0], "b": [1.0]}, datasets=datasets)


@pytest.mark.parametrize(("prefer", "order"), [("best", ["c", "a", "d", "b"]), ("worst", ["b", "a", "d", "c"])])
@pytest.mark.parametrize("k", [1, 2, 9])
def test_clients_are_ranked_by_loss_and_equal_ones_by_name(prefer: str, order: list[str], k: int) -> None:
    answer = scored({"a": 4.0, "b": 9.0, "c": 1.0, "d": 4.0}).ask(ASKED, prefer=prefer, k=k)
    assert [entry.client for entry in answer.ranking] == order
    assert [entry.chosen for entry in answer.ranking] == [place < k for place in range(4)]
    assert answer.chosen == order[:k]
    assert {entry.client: entry.loss for entry in answer.ranking} == pytest.approx({"a": 4, "b": 9, "c": 1, "d": 4})
    assert {entry.accuracy for entry in answer.ranking} == {None}


def test_classes_have_an_accuracy_too() -> None:
    datasets = {"test": {"inputs": INPUTS, "targets": np.array([0, 1])}}
    right, half = [1, 0, 0, 1], [1, 1, 0, 0]
    answer = running_job(linear(2, 2), {"half": half, "right": right}, datasets=datasets).ask(ASKED, k=1)
    assert [(entry.client, entry.accuracy) for entry in answer.ranking] == [("right", 1.0), ("half", 0.5)]
    assert answer.chosen == ["right"]


def test_one_client_and_named_clients_are_ranked_alone() -> None:
    assert scored({"a": 4.0}).ask(ASKED).chosen == ["a"]
    assert scored({"a": 4.0, "b": 1.0, "c": 0.0}).ask(ASKED, clients=["a", "b"]).chosen == ["b", "a"]


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(NotFound, match="client in round 1 'z' does not exist"):
        scored({"a": 1.0}).ask(ASKED, clients=["z"])
    with pytest.raises(NotEnoughData, match="round 1 has no clients to choose from; name another round"):
        running_job(linear(2, 1), {}, aggregate=[0, 0]).ask(ASKED)
    with pytest.raises(InvalidParameters, match="the loss of 1:b is not finite, as of a model that diverged"):
        returning({0: np.zeros((2, 1)), 1: np.full((2, 1), np.nan)}, np.zeros((2, 1))).ask(ASKED)
    with pytest.raises(InvalidParameters, match="has no elements; name a data set that has targets"):
        returning({0: np.zeros((2, 0)), 1: np.zeros((2, 0))}, np.zeros((2, 0))).ask(ASKED)
