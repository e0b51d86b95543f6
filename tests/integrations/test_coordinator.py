"""A training by reference without a framework: coordinator, participants and recorder against a real gateway."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters, NotFound, Unavailable
from flstore_core.integrations.recorder import Recorder
from flstore_core.integrations.reference import Assignment, ByReference, Coordinator, Delivery, Hosts, Participant
from tests.integrations.door import Door
from tests.integrations.models import model, towards

CLIENTS = [f"c{number}" for number in range(5)]


class Training:
    """A training by reference, step by step."""

    def __init__(self, behind: Door, recording: Recorder | None = None, **options: Any) -> None:
        self.recording = recording or behind.recorder(updates="weights")
        options = {"patience_s": 30.0, **options}
        self.coordinator = Coordinator(self.recording, ByReference(**options), behind.url, "examples")
        self.participant = Participant(Hosts.named(behind.url, env={}), retries=0)
        self.recording.begin(model(0.0))

    def deliver(self, assignments: Mapping[str, Assignment], clients: Iterable[str] = CLIENTS) -> dict[str, Delivery]:
        """Have clients train and store their updates."""
        delivered = {}
        for client in clients:
            self.participant.fetch(assignments[client])
            seed = int(client[1:])
            delivered[client] = self.participant.deliver(assignments[client], towards(1, seed), {"examples": 10 + seed})
        return delivered

    def round(self, number: int) -> str:
        """Go through a round in which all goes well."""
        delivered = self.deliver(self.coordinator.assign(number, CLIENTS))
        assert self.coordinator.confirm(number, delivered) == {}
        sha256 = self.coordinator.aggregate(number, CLIENTS)
        self.recording.close(number)
        return sha256


def mean(seeds: Mapping[int, float]) -> Any:
    return np.average([towards(1, seed)["w"] for seed in seeds], axis=0, weights=[*seeds.values()])


def test_rounds_follow_each_other_without_a_model_in_the_server(behind: Door) -> None:
    training = Training(behind)
    hashes = [training.round(number) for number in (1, 2, 3)]
    assert training.recording.finish().is_whole
    store = behind.store
    for number, sha256 in zip((1, 2, 3), hashes, strict=True):
        record = store.round("j", number)
        assert record.aggregate is not None
        assert (record.base, record.aggregate.sha256, len(record.members)) == (number - 1, sha256, 5)
    assert store.run("j", "provenance", last=3, verify=True).result.verified
    np.testing.assert_allclose(
        store.get_aggregate("j", 3)["w"], mean({seed: 10 + seed for seed in range(5)}), rtol=1e-5
    )
    assert training.recording.report.updates == 15


def test_clients_train_from_the_model_that_the_round_before_ended_with(behind: Door) -> None:
    training = Training(behind)
    training.round(1)
    assignment = training.coordinator.assign(2, ["c0"])["c0"]
    fetched = training.participant.fetch(assignment)
    assert list(fetched) == ["w", "b", "steps"]
    np.testing.assert_array_equal(fetched["w"], training.coordinator.model(1)["w"])


def test_factors_and_methods_reach_the_aggregate(behind: Door) -> None:
    training = Training(behind)
    training.coordinator.confirm(1, training.deliver(training.coordinator.assign(1, CLIENTS)))
    training.coordinator.aggregate(1, ["c0", "c1"], {"c1": 0.5, "c9": 0.1})
    np.testing.assert_allclose(training.coordinator.model(1)["w"], mean({0: 10, 1: 5.5}), rtol=1e-5)


def test_the_aggregate_may_be_made_by_another_method(behind: Door) -> None:
    training = Training(behind, method="trimmed-mean", params={"trim": 0.25})
    training.round(1)
    rows = np.sort([towards(1, seed)["w"] for seed in range(5)], axis=0)[1:4]
    np.testing.assert_allclose(behind.store.get_aggregate("j", 1)["w"], rows.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_what_came_by_value_is_aggregated_with_the_rest(behind: Door) -> None:
    training = Training(behind)
    delivered = training.deliver(training.coordinator.assign(1, CLIENTS), ["c0"])
    training.recording.update(1, "c1", towards(1, 1), {"examples": 11}, weight=11)
    training.coordinator.confirm(1, delivered)
    training.coordinator.aggregate(1, CLIENTS)
    np.testing.assert_allclose(training.coordinator.model(1)["w"], mean({0: 10, 1: 11}), rtol=1e-5)
    np.testing.assert_array_equal(training.coordinator.update(1, "c1")["w"], towards(1, 1)["w"])


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"sha256": "9f" * 32}, "says that its update has the SHA-256 9f9f"),
        ({"round": 2}, "in round 2 of 'j', not its own"),
        ({"client": "c1"}, "names the update of 'c1'"),
        ({"job": "other"}, "of 'other', not its own"),
    ],
)
def test_a_client_that_says_what_is_not_stored_is_left_out(behind: Door, told: dict[str, Any], why: str) -> None:
    training = Training(behind)
    delivered = training.deliver(training.coordinator.assign(1, CLIENTS))
    delivered["c0"] = replace(delivered["c0"], **told)
    refused = training.coordinator.confirm(1, delivered)
    assert list(refused) == ["c0"]
    assert why in refused["c0"]


def test_a_client_that_has_stored_nothing_is_left_out(behind: Door) -> None:
    training = Training(behind)
    training.coordinator.assign(1, CLIENTS)
    assert training.coordinator.confirm(1, {"c0": Delivery("j", 1, "c0", "9f" * 32, 1)}) == {
        "c0": "it has stored no update"
    }


def test_a_client_that_says_another_weight_than_it_stored_is_left_out(behind: Door) -> None:
    training = Training(behind)
    delivered = training.deliver(training.coordinator.assign(1, CLIENTS))
    refused = training.coordinator.confirm(1, delivered, {"c0": 10, "c1": 9000})
    assert refused == {"c1": "it says that it weighs 9000, and 11 is stored"}


def test_an_update_that_comes_after_the_aggregate_is_in_the_round_and_not_in_the_model(behind: Door) -> None:
    training = Training(behind)
    assignments = training.coordinator.assign(1, CLIENTS)
    training.coordinator.confirm(1, training.deliver(assignments, CLIENTS[:4]))
    sha256 = training.coordinator.aggregate(1, CLIENTS)
    training.deliver(assignments, ["c4"])
    training.recording.close(1)
    assert training.recording.finish().is_whole
    record = behind.store.round("j", 1)
    assert record.aggregate is not None
    assert (record.aggregate.sha256, len(record.members)) == (sha256, 5)
    (generation,) = behind.store.run("j", "provenance", verify=True).result.generations
    assert generation.verified
    assert {row.client: row.weight for row in generation.updates}["c4"] == 0.0


def test_an_update_that_nobody_was_asked_for_is_another_trainings(behind: Door) -> None:
    training = Training(behind)
    training.coordinator.confirm(1, training.deliver(training.coordinator.assign(1, CLIENTS)))
    training.coordinator.aggregate(1, CLIENTS)
    behind.store.put_update("j", 1, "stranger", model(9.0))
    training.recording.close(1)
    assert "another training records into the same job" in training.recording.finish().line()


def test_a_model_that_the_servers_own_python_made_is_the_next_start(behind: Door) -> None:
    training = Training(behind)
    training.coordinator.confirm(1, training.deliver(training.coordinator.assign(1, CLIENTS)))
    training.coordinator.aggregate(1, CLIENTS)
    training.recording.aggregate(1, model(5.0))
    assignment = training.coordinator.assign_evaluation(1, ["c0"])["c0"]
    assert assignment.place is None
    assert np.array_equal(training.participant.fetch(assignment)["w"], model(5.0)["w"])
    training.recording.close(1)
    fetched = training.participant.fetch(training.coordinator.assign(2, ["c0"])["c0"])
    assert np.array_equal(fetched["w"], model(5.0)["w"])


def test_a_round_without_an_aggregate_leaves_the_model_as_it_was(behind: Door) -> None:
    training = Training(behind)
    training.coordinator.assign(1, CLIENTS)
    training.recording.close(1)
    assignment = training.coordinator.assign(2, ["c0"])["c0"]
    assert (assignment.model.round, assignment.place and assignment.place.round) == (0, 2)


def test_a_store_that_is_away_for_too_long_ends_the_round_with_one_line(behind: Door) -> None:
    training = Training(behind)
    training.coordinator.assign(1, CLIENTS)
    behind.shut()
    impatient = Coordinator(training.recording, ByReference(patience_s=0.01), behind.url, "examples")
    with pytest.raises(Unavailable, match="round 1 cannot go on by reference: the door says"):
        impatient.aggregate(1, CLIENTS)


def test_a_store_that_comes_back_in_time_holds_nobody_up(behind: Door) -> None:
    training = Training(behind)
    training.coordinator.assign(1, CLIENTS)
    refused = iter([True, True, False])
    behind.shut(applies=lambda request: request.url.path.endswith("/tickets") and next(refused, False))
    assert training.coordinator.assign(1, CLIENTS).keys() == {*CLIENTS}


def test_a_job_that_cannot_be_opened_ends_the_round(behind: Door) -> None:
    behind.shut(403, "forbidden")
    training = Training(behind)
    with pytest.raises(Unavailable, match="the door says forbidden"):
        training.coordinator.assign(1, CLIENTS)


def test_a_round_that_is_not_closed_before_is_waited_for(behind: Door) -> None:
    training = Training(behind, patience_s=0.01)
    behind.shut(applies=lambda request: request.url.path.endswith("/rounds/1/commit"))
    training.recording.close(1)
    with pytest.raises(Unavailable, match="round 2 cannot go on by reference: the store took more than"):
        training.coordinator.assign(2, CLIENTS)


def test_a_training_whose_start_nobody_knows_has_no_model_to_hand_out(behind: Door) -> None:
    recording = behind.recorder()
    recording.begin(None, like=model(0.0))
    coordinator = Coordinator(recording, ByReference(), behind.url, "examples")
    with pytest.raises(NotFound, match="no model to start from"):
        coordinator.assign(1, CLIENTS)


def test_what_no_wait_can_mend_is_raised_at_once(behind: Door) -> None:
    training = Training(behind)
    training.coordinator.assign(1, CLIENTS)
    with pytest.raises(NotFound):
        training.coordinator.update(1, "c0")


@pytest.mark.parametrize("options", [{"away": "later"}, {"patience_s": 0}, {"ticket_s": 0}, {"ticket_s": 10**6}])
def test_options_that_say_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters):
        ByReference(**options)


def test_who_is_weighed_needs_a_method_that_weighs() -> None:
    ByReference().require_weights()
    with pytest.raises(InvalidParameters, match="median"):
        ByReference(method="median").require_weights()


def test_a_training_that_was_killed_between_aggregate_and_commit_goes_on_after_it(behind: Door) -> None:
    killed = Training(behind)
    killed.round(1)
    killed.coordinator.confirm(2, killed.deliver(killed.coordinator.assign(2, CLIENTS)))
    sha256 = killed.coordinator.aggregate(2, CLIENTS)
    killed.recording.finish()
    resumed = Training(behind, behind.recorder(resume=True, updates="weights"))
    assignment = resumed.coordinator.assign(1, ["c0"])["c0"]
    assert assignment.place is not None
    record = behind.store.round("j", 2)
    assert record.committed
    assert record.aggregate is not None
    assert record.aggregate.sha256 == sha256
    # The one that resumes was given the initial model again, which is a round of its own.
    assert (assignment.model.round, assignment.place.round) == (3, 4)
