"""Aggregates that clients have early, while the store is still being sent them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from flstore_core import layout
from flstore_core.errors import Conflict, RoundCommitted, StoreUnavailable
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Member, Updates
from services.gateway.answers.aggregates import Aggregates
from services.gateway.answers.early_models import EarlyModels
from services.gateway.answers.execution import Outcome
from services.gateway.threads import KEEPERS
from tests.fakes.executors import HeldExecutor
from tests.fakes.store import Call
from tests.gateway.world import HOME, NAME, World, inline_pools, world


class Gateway:
    """A gateway that stores early models only when it is told to."""

    def __init__(self, beside: World | None = None) -> None:
        self.keepers = HeldExecutor()
        shared = {"store": beside.store, "shards": beside.shards} if beside else {}
        self.world = world(pools=replace(inline_pools(), keepers=self.keepers), **shared)  # type: ignore[arg-type]

    def make_early(self, *, round: int = 1, replaces: bool = False, **params: Any) -> str:  # noqa: A002
        """Make a round's aggregate early, and return its hash."""
        outcome, is_stored = self.world.state.aggregates.make_early(NAME, round, params, replace=replaces)
        assert not is_stored
        return hash_of(outcome)

    def find(self, sha256: str) -> bytes | None:
        model = self.world.state.early_models.find(HOME, 1, [sha256])
        return bytes(model.body) if model else None


def hash_of(outcome: Outcome) -> str:
    return str(outcome.result["artifact"]["sha256"])


def make(it: World, *, replaces: bool = False, **params: Any) -> str:
    return hash_of(it.state.aggregates.make(NAME, 1, params, replace=replaces))


def key_of(member: Member) -> str:
    return layout.tensors(HOME, 1, AGGREGATE, member.upload)


def aggregate(it: World) -> Member | None:
    return it.state.rounds.openings.read_round(it.job, 1).aggregate


@pytest.fixture
def gateway() -> Gateway:
    it = Gateway()
    it.world.create()
    it.world.put_aggregate(0, 2)
    it.world.commit(0)
    it.world.fill(1, 3)
    return it


def test_it_can_be_had_by_its_hash_before_the_store_has_it(gateway: Gateway) -> None:
    sha256 = gateway.make_early()
    given = gateway.find(sha256)
    assert aggregate(gateway.world) is None
    assert gateway.find("0" * 64) is None
    gateway.keepers.run_all()
    stored = aggregate(gateway.world)
    assert stored is not None
    assert stored.sha256 == sha256
    assert gateway.world.store.contents[key_of(stored)] == given
    assert gateway.find(sha256) is None
    assert make(gateway.world) == sha256


def test_what_the_round_does_not_take_is_refused_at_once(gateway: Gateway) -> None:
    make(gateway.world)
    with pytest.raises(Conflict, match="replace=true"):
        gateway.make_early(method="median")
    gateway.world.fill(2, 3)
    gateway.world.commit(2)
    with pytest.raises(RoundCommitted):
        gateway.make_early(round=2)
    assert len(gateway.keepers) == 0


def test_it_takes_the_place_of_what_was_there_if_it_may(gateway: Gateway) -> None:
    make(gateway.world)
    sha256 = gateway.make_early(replaces=True, method="median")
    gateway.keepers.run_all()
    stored = aggregate(gateway.world)
    assert stored is not None
    assert stored.sha256 == sha256


@pytest.mark.parametrize("replaces", [False, True])
def test_it_gives_way_to_what_has_come_since(
    gateway: Gateway, replaces: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.make_early(replaces=True)
    later = make(Gateway(gateway.world).world, method="median", replaces=replaces)
    gateway.keepers.run_all()
    stored = aggregate(gateway.world)
    assert stored is not None
    assert stored.sha256 == later
    assert "an aggregate that clients may have is not stored" in caplog.text


def test_it_gives_way_to_a_commit(gateway: Gateway) -> None:
    sha256 = gateway.make_early()
    assert Gateway(gateway.world).world.commit(1).aggregate is None
    gateway.keepers.run_all()
    assert gateway.find(sha256) is None
    assert not [key for key in gateway.world.store.contents if "00000001/aggregate" in key]


def test_one_that_the_store_does_not_take_is_made_again(gateway: Gateway) -> None:
    sha256 = gateway.make_early()

    def refuse(call: Call) -> None:
        if call.method == "put":
            raise StoreUnavailable("away")

    gateway.world.store.before = refuse
    gateway.keepers.run_all()
    gateway.world.store.before = lambda call: None
    assert gateway.find(sha256) is None
    assert aggregate(gateway.world) is None
    assert make(gateway.world) == sha256


def test_only_so_many_are_being_stored_at_once(gateway: Gateway) -> None:
    for number in range(1, KEEPERS + 2):
        gateway.world.fill(number, 1)
    for number in range(1, KEEPERS + 1):
        gateway.make_early(round=number)
    gateway.world.put_aggregate(KEEPERS + 1, 3)
    outcome, is_stored = gateway.world.state.aggregates.make_early(NAME, KEEPERS + 1, {}, replace=True)
    assert is_stored
    stored = gateway.world.state.rounds.openings.read_round(gateway.world.job, KEEPERS + 1).aggregate
    assert stored is not None
    assert stored.sha256 == hash_of(outcome)


class Closed(HeldExecutor):
    """Takes no more work."""

    def submit(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("cannot schedule new futures after shutdown")


class Threads:
    """A gateway that stores early models in a thread, which stands still before it writes one."""

    def __init__(self, gateway: Gateway) -> None:
        self.reached, self.go = Event(), Event()
        self.pool = ThreadPoolExecutor(2)
        pools = replace(inline_pools(), keepers=self.pool)
        self.world = world(pools=pools, store=gateway.world.store, shards=gateway.world.shards)
        self.world.store.before = self.hold

    def hold(self, call: Call) -> None:
        if call.method == "put" and call.key.endswith(".safetensors") and "aggregate" in call.key:
            self.reached.set()
            self.go.wait()


@pytest.fixture
def threads(gateway: Gateway) -> Iterator[Threads]:
    it = Threads(gateway)
    yield it
    it.go.set()
    it.pool.shutdown()


def test_the_same_request_waits_until_it_is_stored_and_makes_nothing_anew(threads: Threads) -> None:
    it = threads.world
    outcome, is_stored = it.state.aggregates.make_early(NAME, 1, {})
    assert not is_stored
    threads.reached.wait()
    again = threads.pool.submit(it.state.aggregates.make, NAME, 1, {})
    threads.go.set()
    assert again.result() is outcome
    stored = aggregate(it)
    assert stored is not None
    assert stored.sha256 == hash_of(outcome)


def test_the_same_request_after_another_update_makes_another(threads: Threads) -> None:
    it = threads.world
    outcome, _ = it.state.aggregates.make_early(NAME, 1, {})
    threads.reached.wait()
    it.put(1, "late", 9, num_examples=9)
    again = threads.pool.submit(it.state.aggregates.make, NAME, 1, {}, replace=True)
    threads.go.set()
    assert hash_of(again.result()) != hash_of(outcome)
    assert "late" in again.result().result["clients"]


def test_the_same_request_after_the_round_got_another_base_makes_another() -> None:
    gateway = Gateway()
    it = gateway.world
    it.create(updates=Updates.DELTA, updates_stated=True)
    for number, seed in ((0, 2), (1, 5)):
        it.put_aggregate(number, seed)
        it.commit(number)
    it.fill(2, 3)
    sha256 = gateway.make_early(round=2)
    model = it.state.early_models.find(HOME, 2, [sha256])
    assert model
    gateway.keepers.run_all()
    it.state.rounds.openings.open_round(it.job, 2, "0", rename=True)
    assert not it.state.aggregates._is_so_still(it.job, model, {})


def test_the_store_is_sent_it_when_somebody_waits_for_the_store(gateway: Gateway) -> None:
    with ThreadPoolExecutor(1) as pool:
        it = gateway.world
        early = EarlyModels(pool, patience_s=1e6)
        aggregates = Aggregates(it.state.runner, it.state.rounds, it.state.ingest, early)
        outcome, is_stored = aggregates.make_early(NAME, 1, {})
        assert not is_stored
        assert aggregate(it) is None
        assert early.wait(HOME, 1) is not None
        stored = aggregate(it)
    assert stored is not None
    assert stored.sha256 == hash_of(outcome)


def test_a_thread_that_cannot_start_leaves_nobody_waiting(gateway: Gateway) -> None:
    gateway.world.state.early_models._keepers = Closed()
    outcome, is_stored = gateway.world.state.aggregates.make_early(NAME, 1, {})
    assert is_stored
    assert make(gateway.world) == hash_of(outcome)


def test_what_nobody_has_foreseen_is_in_the_log(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.make_early()

    def fail(call: Call) -> None:
        raise ZeroDivisionError

    gateway.world.store.before = fail
    gateway.keepers.run_all()
    assert "ZeroDivisionError" in caplog.text
    assert gateway.world.state.early_models.wait(HOME, 1) is None


def test_a_gateway_that_ends_stores_them_first(threads: Threads) -> None:
    it = threads.world
    it.state.aggregates.make_early(NAME, 1, {})
    threads.reached.wait()
    threads.go.set()
    it.state.early_models.wait_for_all()
    assert aggregate(it) is not None


def test_a_client_that_is_erased_before_the_answer_is_not_in_it(gateway: Gateway) -> None:
    it = gateway.world
    erased: list[str] = []

    def erase(call: Call) -> None:
        if call.method == "list" and not erased:
            erased.append("c1")
            it.state.eraser.erase(NAME, ClientId("c1"))

    it.store.before = erase
    outcome, _ = it.state.aggregates.make_early(NAME, 1, {})
    assert erased
    assert outcome.result["clients"] == ["c0", "c2"]
