"""The choice of clients by accuracy, against bare PyTorch."""

import pytest

from tests.models import digits
from tests.models.fixtures import ask
from tests.running.jobs import JobOverHttp


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
