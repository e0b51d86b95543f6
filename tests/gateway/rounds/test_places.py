"""What lies in the places of member records: it is read once for each of its etags."""

import pytest

from flstore_core import layout
from flstore_core.ids import ClientId, JobId
from services.gateway.rounds.places import Place, Places
from tests.gateway.rounds.world import HOME, JOB, World, world

OTHER = layout.home(JobId("other"), "g1")
A, B, C = (ClientId(name) for name in "abc")


def key(client: ClientId, home: str = HOME) -> str:
    return layout.member(home, 0, client)  # type: ignore[arg-type]


@pytest.fixture
def gateway() -> World:
    """A round with the updates of a and b, which came through this gateway."""
    gateway = world()
    gateway.put(0, "a", 1)
    gateway.put(0, "b", 2)
    return gateway


def reads(gateway: World) -> tuple[list[Place], list[str]]:
    """Return the places of the round, and whose records the store was asked for."""
    asked: list[str] = []
    gateway.store.before = lambda call: asked.append(call.key) if call.method == "get_with_info" else None
    places = gateway.rounds.records.read_places(JOB, 0)
    gateway.store.before = lambda call: None
    return places, asked


def test_the_example_of_a_question() -> None:
    through = world()
    other = World.make(through.store)
    for client in range(3):
        through.put(0, f"c{client}", client + 1)
    for client in range(3, 5):
        other.put(0, f"c{client}", client + 1)
    first, asked = reads(through)
    assert sorted(asked) == [key(ClientId("c3")), key(ClientId("c4"))]
    again, asked = reads(through)
    assert (again, asked) == (first, [])
    other.put(0, "c1", 6, replace=True)
    changed, asked = reads(through)
    assert asked == [key(ClientId("c1"))]
    assert [place.client for place in changed if place not in first] == ["c1"]


def test_what_is_remembered_is_what_the_store_has(gateway: World) -> None:
    other = World.make(gateway.store)
    assert gateway.rounds.records.read_places(JOB, 0) == other.rounds.records.read_places(JOB, 0)


def test_a_place_that_became_empty_is_not_there(gateway: World) -> None:
    gateway.store.delete(key(A))
    places, asked = reads(gateway)
    assert ([place.client for place in places], asked) == ([B], [])


def test_an_update_that_was_withdrawn_through_another_gateway_is_a_mark(gateway: World) -> None:
    World.make(gateway.store).withdrawals.drop_update(JOB, 0, A)
    places, asked = reads(gateway)
    assert asked == [key(A)]
    assert [(place.client, place.member is None) for place in places] == [(A, True), (B, False)]


def test_a_client_that_was_erased_through_another_gateway_is_a_mark_and_then_forgotten(gateway: World) -> None:
    World.make(gateway.store, gateway.time).erase(A)
    places, asked = reads(gateway)
    assert asked == [key(A)]
    assert [(place.client, place.member is None) for place in places] == [(A, True), (B, False)]
    gateway.time.sleep(100.0)
    gateway.rounds.catalog.read_index(JOB.id)
    assert sorted(reads(gateway)[1]) == [key(A), key(B)]


def test_a_job_that_is_forgotten_is_read_again(gateway: World) -> None:
    gateway.rounds.records.forget(HOME)
    _, asked = reads(gateway)
    assert sorted(asked) == [key(A), key(B)]


def test_only_the_etag_that_was_noted_is_found() -> None:
    places = Places()
    places.note(key(A), Place(A, None, "1"), 10)
    assert places.find(key(A), "1") == Place(A, None, "1")
    assert places.find(key(A), "2") is None
    assert places.find(key(B), "1") is None


def test_the_places_used_longest_ago_give_way() -> None:
    places = Places(budget=20)
    places.note(key(A), Place(A, None, "1"), 10)
    places.note(key(B), Place(B, None, "1"), 10)
    places.find(key(A), "1")
    places.note(key(C), Place(C, None, "1"), 10)
    assert [places.find(key(client), "1") is not None for client in (A, B, C)] == [True, False, True]


def test_long_records_take_the_room_of_many() -> None:
    places = Places(budget=100)
    for client in (A, B):
        places.note(key(client), Place(client, None, "1"), 10)
    places.note(key(C), Place(C, None, "1"), 90)
    assert [places.find(key(client), "1") is not None for client in (A, B, C)] == [False, True, True]
    places.note(key(C), Place(C, None, "2"), 101)
    assert [places.find(key(client), "2") for client in (A, B, C)] == [None, None, None]


def test_a_record_that_is_noted_again_counts_once() -> None:
    places = Places(budget=20)
    places.note(key(A), Place(A, None, "1"), 10)
    places.note(key(B), Place(B, None, "1"), 10)
    places.note(key(A), Place(A, None, "2"), 10)
    assert places.find(key(A), "2") is not None
    assert places.find(key(B), "1") is not None
    places.forget(HOME)
    places.note(key(C), Place(C, None, "1"), 20)
    assert places.find(key(C), "1") is not None


def test_other_jobs_are_not_forgotten() -> None:
    places = Places()
    places.note(key(A), Place(A, None, "1"), 10)
    places.note(key(A, OTHER), Place(A, None, "1"), 10)
    places.forget(HOME)
    assert places.find(key(A), "1") is None
    assert places.find(key(A, OTHER), "1") is not None
