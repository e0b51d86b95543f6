"""A client's side of a training by reference, against a real gateway."""

import numpy as np
import pytest

from flstore_core.errors import (
    Conflict,
    DigestMismatch,
    Forbidden,
    InvalidParameters,
    InvalidTensors,
    RoundCommitted,
    SchemaMismatch,
    Unauthorized,
)
from flstore_core.integrations.reference import Assignment, Hosts, Model, Participant, Place
from flstore_core.integrations.reference.hosts import ForeignHost
from tests.integrations.door import Door
from tests.integrations.models import model

CLIENT = "hospital-a"


def participant(behind: Door, keep: bool = True) -> Participant:
    return Participant(Hosts.named(behind.url, env={}), retries=0, keep=keep)


def assigned(behind: Door, sha256: str = "") -> Assignment:
    """Return an assignment to a job whose round 0 is committed, with tickets for one client."""
    store = behind.store
    store.create_job("j", like=model(0.0), updates="weights")
    store.put_aggregate("j", 0, model(0.0))
    stored = store.commit("j", 0).aggregate
    assert stored is not None
    reading = store.issue_tickets("j", 0, [CLIENT], verb="aggregate")[CLIENT]
    writing = store.issue_tickets("j", 1, [CLIENT])[CLIENT]
    return Assignment(
        Model(behind.url, "j", 0, sha256 or stored.sha256, reading), Place(1, CLIENT, writing), "examples"
    )


def test_a_client_fetches_the_model_and_stores_its_update(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    fetched = client.fetch(assignment)
    assert np.array_equal(fetched["w"], model(0.0)["w"])
    delivery = client.deliver(assignment, model(1.0), {"examples": 30, "loss": 0.5, "no": float("nan")})
    (member,) = behind.store.round("j", 1).members
    assert (delivery.client, delivery.sha256, delivery.nbytes) == (member.client, member.sha256, member.nbytes)
    assert (member.num_examples, member.metrics["loss"]) == (30, 0.5)


def test_messages_are_a_few_hundred_bytes(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    assert len(assignment.to_text()) < 1000
    assert len(client.deliver(assignment, model(1.0)).to_text()) < 300


def test_an_update_is_stored_in_the_dtypes_of_the_model_it_was_trained_from(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    wide = {name: array.astype(np.float64) for name, array in client.fetch(assignment).items()}
    client.deliver(assignment, wide)
    assert behind.store.get_update("j", 1, CLIENT)["steps"] == 7


def test_the_model_is_fetched_once_for_all_clients_of_a_process(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    first = client.fetch(assignment)
    first["w"][:] = 42.0
    asked = len(behind.seen)
    assert np.array_equal(client.fetch(assignment)["w"], model(0.0)["w"])
    assert len(behind.seen) == asked


def test_a_model_that_is_shared_is_not_copied_and_cannot_be_written(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    first, second = (client.fetch(assignment, own=False) for _ in range(2))
    assert np.shares_memory(first["w"], second["w"])
    with pytest.raises(ValueError, match="read-only"):
        first["w"][:] = 42.0
    owned = client.fetch(assignment)
    owned["w"][:] = 42.0
    assert np.array_equal(second["w"], model(0.0)["w"])


def test_no_model_is_kept_where_memory_is_short(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind, keep=False)
    client.fetch(assignment)
    asked = len(behind.seen)
    client.fetch(assignment)
    assert len(behind.seen) == asked + 1


def test_another_model_than_the_one_that_was_named_is_refused(behind: Door) -> None:
    with pytest.raises(DigestMismatch, match="and not 9f9f"):
        participant(behind).fetch(assigned(behind, "9f" * 32))


def test_nothing_is_sent_to_a_gateway_that_the_operator_does_not_know(behind: Door) -> None:
    assignment, stranger = assigned(behind), Participant(Hosts.named("http://flstore:8080", env={}))
    behind.seen.clear()
    with pytest.raises(ForeignHost, match="http://flstore:8080"):
        stranger.fetch(assignment)
    with pytest.raises(ForeignHost, match="FLSTORE_URL"):
        stranger.deliver(assignment, model(1.0))
    assert behind.seen == []


def test_a_model_that_is_only_evaluated_has_no_place_for_an_update(behind: Door) -> None:
    with pytest.raises(InvalidParameters, match="only to be evaluated"):
        participant(behind).deliver(Assignment(assigned(behind).model), model(1.0))


def test_an_update_that_comes_again_is_stored_once_and_another_one_refused(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    assert client.deliver(assignment, model(1.0)) == client.deliver(assignment, model(1.0))
    with pytest.raises(Conflict):
        client.deliver(assignment, model(2.0))


def test_what_the_job_has_no_place_for_is_refused(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    with pytest.raises(InvalidTensors, match="NaN"):
        client.deliver(assignment, model(float("nan")))
    with pytest.raises(SchemaMismatch):
        client.deliver(assignment, {"w": np.ones(3, np.float32)})


# Tickets under attack


def with_tickets(assignment: Assignment, reading: str, writing: str) -> Assignment:
    place = assignment.place
    assert place is not None
    model_ = assignment.model
    return Assignment(
        Model(model_.url, model_.job, model_.round, model_.sha256, reading),
        Place(place.round, place.client, writing),
    )


def test_verbs_of_tickets_cannot_be_exchanged(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    assert assignment.place is not None
    exchanged = with_tickets(assignment, assignment.place.ticket, assignment.model.ticket)
    with pytest.raises(Forbidden, match="for the update"):
        client.fetch(exchanged)
    with pytest.raises(Forbidden, match="for the aggregate"):
        client.deliver(exchanged, model(1.0))


def test_a_ticket_of_another_client_stores_nothing(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    others = behind.store.issue_tickets("j", 1, ["hospital-b"])["hospital-b"]
    with pytest.raises(Forbidden, match="hospital-b"):
        client.deliver(with_tickets(assignment, assignment.model.ticket, others), model(1.0))


def test_a_ticket_of_another_round_stores_nothing(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    other = behind.store.issue_tickets("j", 2, [CLIENT])[CLIENT]
    with pytest.raises(Forbidden, match="in round 2"):
        client.deliver(with_tickets(assignment, assignment.model.ticket, other), model(1.0))


def test_a_ticket_that_nobody_issued_is_refused(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    assert assignment.place is not None
    forged = assignment.place.ticket[:-4] + ("beef" if not assignment.place.ticket.endswith("beef") else "dead")
    with pytest.raises(Unauthorized, match="has not issued"):
        client.deliver(with_tickets(assignment, assignment.model.ticket, forged), model(1.0))


def test_a_ticket_that_has_ended_is_refused(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    behind.gateway.time.sleep(3600.0)
    with pytest.raises(Unauthorized, match="ended"):
        client.deliver(assignment, model(1.0))


def test_a_ticket_that_is_used_again_changes_nothing(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    client.deliver(assignment, model(1.0))
    behind.store.commit("j", 1)
    client.deliver(assignment, model(1.0))
    with pytest.raises(Conflict):
        client.deliver(assignment, model(2.0))
    assert np.array_equal(behind.store.get_update("j", 1, CLIENT)["w"], model(1.0)["w"])


def test_an_update_that_comes_after_its_round_is_refused(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    behind.store.commit("j", 1, allow_empty=True)
    with pytest.raises(RoundCommitted):
        client.deliver(assignment, model(1.0))


def test_a_ticket_for_a_deleted_job_is_worth_nothing_to_a_new_one_of_that_name(behind: Door) -> None:
    assignment, client = assigned(behind), participant(behind)
    behind.store.delete_job("j")
    assigned(behind)
    with pytest.raises(Unauthorized, match="was deleted"):
        client.deliver(assignment, model(1.0))
    with pytest.raises(Unauthorized, match="was deleted"):
        client.fetch(assignment)
