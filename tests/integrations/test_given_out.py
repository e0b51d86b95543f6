"""A training by reference whose clients evaluate a model that the store is still being sent."""

from collections.abc import Sequence

import numpy as np
import pytest

from flstore_core.integrations.recorder import Recorder
from flstore_core.integrations.reference import ByReference, Coordinator, Hosts, Participant
from services.gateway.answers.given_out import GivenOut
from tests.fakes.executors import HeldExecutor
from tests.integrations.door import Door
from tests.integrations.models import model, towards

CLIENTS = ("c0", "c1", "c2")


class Training:
    """A training's first round, up to its aggregate, at a gateway that stores what it gives out when it is told to."""

    def __init__(self, behind: Door, clients: Sequence[str] = CLIENTS) -> None:
        self.behind = behind
        self.recording: Recorder = behind.recorder(updates="weights")
        self.coordinator = Coordinator(self.recording, ByReference(patience_s=30.0), behind.url, "examples")
        self.participant = Participant(Hosts.named(behind.url, env={}), retries=0)
        self.recording.begin(model(0.0))
        assignments = self.coordinator.assign(1, clients)
        for seed, client in enumerate(clients):
            self.participant.deliver(assignments[client], towards(1, seed), {"examples": 10 + seed})
            self.recording.direct.note(1, client, "", 0)
        self.lose()
        self.sha256 = self.coordinator.aggregate(1, clients)

    def lose(self) -> None:
        """Start the gateway anew: what it has given out and not stored is gone."""
        self.keepers = HeldExecutor()
        given_out = GivenOut(self.keepers)
        state = self.behind.gateway.state
        state.given_out, state.aggregates._given_out = given_out, given_out

    def evaluated(self) -> str:
        """Have a client fetch the model that it evaluates, and return its hash."""
        assignment = self.coordinator.assign_evaluation(1, ["c0"])["c0"]
        self.participant.fetch(assignment)
        return assignment.model.sha256

    def stored(self) -> str | None:
        """Return the hash of the round's aggregate; None if the store has none."""
        aggregate = self.behind.store.round("j", 1).aggregate
        return aggregate.sha256 if aggregate else None

    def close(self) -> str:
        """Close the round, and return the hash of the aggregate that it was committed with."""
        self.recording.close(1)
        self.coordinator.assign(2, CLIENTS)  # waits until the round is closed
        record = self.behind.store.round("j", 1)
        assert record.committed
        assert record.aggregate is not None
        return record.aggregate.sha256


@pytest.fixture
def training(behind: Door) -> Training:
    return Training(behind)


def test_clients_evaluate_a_model_before_it_is_stored(training: Training) -> None:
    assert training.evaluated() == training.sha256
    assert training.stored() is None
    training.keepers.run_all()
    assert training.stored() == training.sha256
    assert training.close() == training.sha256


def test_the_servers_own_python_can_read_it_too(training: Training) -> None:
    mean = np.average([towards(1, seed)["w"] for seed in range(3)], axis=0, weights=[10, 11, 12])
    np.testing.assert_allclose(training.coordinator.model(1)["w"], mean, rtol=1e-5)
    assert training.stored() is None


def test_a_round_is_closed_with_the_model_that_was_given_out(training: Training) -> None:
    training.recording.close(1)
    training.keepers.run_all()
    assert training.close() == training.sha256


def test_a_model_that_was_lost_with_its_gateway_is_made_again(training: Training) -> None:
    training.lose()
    assert training.close() == training.sha256
    assert training.recording.finish().is_whole


def test_one_that_cannot_be_made_again_is_told_of(training: Training, caplog: pytest.LogCaptureFixture) -> None:
    training.evaluated()
    training.lose()
    training.behind.store.put_update("j", 1, "c1", towards(1, 9), metrics={"examples": 11}, replace=True)
    assert training.close() != training.sha256
    assert f"and not with {training.sha256}, which was lost with a gateway" in caplog.text


def test_a_model_that_the_server_made_of_it_takes_its_place_in_either_order(training: Training) -> None:
    training.recording.aggregate(1, model(5.0))
    training.recording.direct.wait_until_stored(1, 30.0)
    training.keepers.run_all()
    stored = training.stored()
    assert training.evaluated() == training.close() == stored != training.sha256
    np.testing.assert_array_equal(training.coordinator.model(1)["w"], model(5.0)["w"])
