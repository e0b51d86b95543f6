"""A training by reference whose clients evaluate a model that the store is still being sent."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from flstore_core.integrations.recorder import Limits
from flstore_core.integrations.recorder.leftovers import take_up
from flstore_core.integrations.reference import ByReference, Coordinator, Hosts, Participant
from services.gateway.answers.aggregates import Aggregates
from services.gateway.answers.early_models import EarlyModels
from tests.fakes.executors import HeldExecutor
from tests.integrations.door import PATIENT, Door
from tests.integrations.models import model, towards

CLIENTS = ("c0", "c1", "c2")


class Training:
    """A training's first round, up to its aggregate, at a gateway that stores it when it is told to."""

    def __init__(self, behind: Door, limits: Limits = PATIENT, clients: Sequence[str] = CLIENTS) -> None:
        self.behind = behind
        self.recording = behind.recorder(limits=limits, updates="weights")
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
        """Start the gateway anew: what it has not stored is gone."""
        self.keepers = HeldExecutor()
        state, early = self.behind.gateway.state, EarlyModels(self.keepers, patience_s=0.0)
        state.early_models = early
        state.aggregates = Aggregates(state.runner, state.rounds, state.ingest, early)

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


def test_the_servers_own_python_reads_what_is_stored(training: Training) -> None:
    training.lose()
    mean = np.average([towards(1, seed)["w"] for seed in range(3)], axis=0, weights=[10, 11, 12])
    np.testing.assert_allclose(training.coordinator.model(1)["w"], mean, rtol=1e-5)
    assert training.stored() == training.sha256


def test_what_the_servers_own_python_reads_is_made_once(training: Training) -> None:
    training.keepers.run_all()
    training.behind.seen.clear()
    for _ in range(2):
        training.coordinator.model(1)
    assert ("POST", "/v1/jobs/j/rounds/1/aggregate") not in training.behind.seen


def test_a_round_is_closed_with_the_model_that_clients_had(training: Training) -> None:
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
    assert f"clients may have evaluated {training.sha256}, which was lost" in caplog.text


def test_a_model_that_the_server_made_of_it_takes_its_place_in_either_order(training: Training) -> None:
    training.recording.aggregate(1, model(5.0))
    training.recording.direct.wait_until_stored(1, 30.0)
    training.keepers.run_all()
    stored = training.stored()
    assert training.evaluated() == training.close() == stored != training.sha256
    np.testing.assert_array_equal(training.coordinator.model(1)["w"], model(5.0)["w"])


def test_an_aggregate_that_somebody_has_put_in_its_place_stays(training: Training) -> None:
    sha256 = training.behind.store.put_aggregate("j", 1, model(7.0), replace=True).sha256
    training.keepers.run_all()
    assert training.close() == sha256


def test_one_that_was_to_take_the_place_of_another_is_made_again(training: Training) -> None:
    training.keepers.run_all()
    training.lose()
    second = training.coordinator.aggregate(1, CLIENTS[:2])
    training.lose()
    assert training.stored() == training.sha256
    assert training.close() == second


def test_a_round_goes_on_without_it_if_it_cannot_be_made_again(
    training: Training, caplog: pytest.LogCaptureFixture
) -> None:
    training.lose()
    training.behind.store.erase_client("j", "c1")
    training.recording.close(1)
    assert training.coordinator.assign(2, ["c0"])["c0"].model.round == 0
    record = training.behind.store.round("j", 1)
    assert (record.committed, record.aggregate) == (True, None)
    assert f"ends without the model {training.sha256}, which was lost" in caplog.text


def test_a_commit_that_was_cut_off_ends_with_what_was_made_again(training: Training) -> None:
    training.lose()
    training.behind.store.put_update("j", 1, "c1", towards(1, 9), metrics={"examples": 11}, replace=True)
    refused = iter([True])
    training.behind.shut(applies=lambda request: request.url.path.endswith("/commit") and next(refused, False))
    assert training.close() != training.sha256


def test_a_round_that_was_left_in_the_spool_is_closed_with_it(behind: Door, tmp_path: Path) -> None:
    training = Training(behind, Limits(deadline_s=60.0, linger_s=0.01, spool=tmp_path))
    behind.shut()
    training.recording.close(1)
    training.recording.finish()
    behind.open()
    training.lose()
    assert take_up(tmp_path, "j", behind.store) == 1
    assert training.stored() == training.sha256
