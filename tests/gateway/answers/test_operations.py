"""Operations: started once, renewed, taken over, cancelled, forgotten; and whatever two gateways do to one at once."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flstore_core.errors import Busy, Conflict, InvalidId, NotEnoughData, NotFound, StoreUnavailable
from flstore_core.ids import JobId
from flstore_core.workloads import Progress
from services.gateway.answers.operation_records import CANCELLED, FAILED, RUNNING, SUCCEEDED, Operation
from services.gateway.answers.operations import Operations
from services.gateway.answers.queue import MOST_WAITING, MOST_WAITING_OF_ONE
from tests.fakes.clock import FakeTime
from tests.fakes.executors import HeldExecutor
from tests.fakes.interleaving import Scenario, Scheduler, explore
from tests.fakes.store import Call, MemoryStore

JOB = JobId("job")
PARAMS = {"round": 3}

Work = Callable[[Operation, Progress], Any]


def answer(operation: Operation, progress: Progress) -> Any:
    return {"of": operation.workload}


class Gateway:
    """One gateway's operations, whose work is done when the test says so."""

    def __init__(self, store: MemoryStore, time: FakeTime, work: Work = answer) -> None:
        self.held = HeldExecutor()
        self.operations = Operations(store, self.held, time, work)

    def start(self, key: str | None = None, params: Mapping[str, Any] = PARAMS) -> Operation:
        return self.operations.start(JOB, "evaluate", params, key)


@pytest.fixture
def time() -> FakeTime:
    time = FakeTime()
    time.clock.now = 0.0
    return time


@pytest.fixture
def store(time: FakeTime) -> MemoryStore:
    return MemoryStore(time.now)


@pytest.fixture
def here(store: MemoryStore, time: FakeTime) -> Gateway:
    return Gateway(store, time)


@pytest.fixture
def there(store: MemoryStore, time: FakeTime) -> Gateway:
    return Gateway(store, time)


def test_the_example_of_the_module(store: MemoryStore, time: FakeTime, here: Gateway, there: Gateway) -> None:
    name = here.start().id
    for now in (2.0, 4.0):
        time.clock.now = now
        here.operations.renew()
    time.clock.now = 5.0
    assert there.operations.find_or_take_over(name).renewed_at == 4.0
    time.clock.now = 6.0
    here.operations.renew()
    del here  # killed
    for now in (8.0, 23.0):
        time.clock.now = now
        assert there.operations.find_or_take_over(name).renewed_at == 6.0
    time.clock.now = 24.0
    assert there.operations.find_or_take_over(name).renewed_at == 24.0
    time.clock.now = 30.0
    there.held.run_all()
    end = there.operations.find_or_take_over(name)
    assert (end.state, end.result, end.finished_at) == (SUCCEEDED, {"of": "evaluate"}, 30.0)


def test_an_operation_is_readable_through_every_gateway(here: Gateway, there: Gateway) -> None:
    started = here.start()
    assert (started.state, started.created_at, started.progress) == (RUNNING, 0.0, None)
    assert there.operations.find_or_take_over(started.id) == started
    here.held.run_all()
    end = there.operations.find_or_take_over(started.id)
    assert (end.state, end.result, end.progress) == (SUCCEEDED, {"of": "evaluate"}, 1.0)


def test_an_idempotency_key_starts_one_operation(here: Gateway, there: Gateway) -> None:
    first = here.start("key")
    assert there.start("key", {"round": 3}) == first
    assert len(there.held) == 0
    with pytest.raises(Conflict, match="was used for another request"):
        there.start("key", {"round": 4})
    others = {here.start("other key").id, here.start().id, here.start().id, first.id}
    assert len(others) == 4


def test_what_a_reader_started_stays_a_readers_at_every_gateway(
    here: Gateway, there: Gateway, store: MemoryStore
) -> None:
    started = here.operations.start(JOB, "evaluate", PARAMS, "key", read_only=True)
    assert there.operations.find_or_take_over(started.id).read_only
    with pytest.raises(Conflict, match="was used for another request"):
        there.start("key")
    here.start("a writer's")
    records = [json.loads(body) for key, body in store.contents.items() if key.endswith(".json")]
    assert not any("read_only" in record for record in records), "version 0.1.0 would end"
    assert [record["problem"] for record in records] == [{"later": {"read_only": True}}, None]


def test_a_key_whose_operation_was_kept_long_enough_starts_another(here: Gateway, time: FakeTime) -> None:
    here.start("key")
    here.held.run_all()
    time.clock.now = 86_400.0
    assert here.start("key").state == SUCCEEDED
    time.clock.now = 86_401.0
    again = here.start("key")
    assert (again.state, again.created_at) == (RUNNING, 86_401.0)


def test_unknown_and_unusable_names_are_refused(here: Gateway) -> None:
    with pytest.raises(NotFound, match="operation 'nothing' does not exist"):
        here.operations.find_or_take_over("nothing")
    with pytest.raises(InvalidId, match="operation name"):
        here.operations.find_or_take_over("../job")


def refuse(operation: Operation, progress: Progress) -> Any:
    raise NotEnoughData("one round is too few", rounds=1)


def break_down(operation: Operation, progress: Progress) -> Any:
    raise ZeroDivisionError("secret")


@pytest.mark.parametrize(
    ("work", "problem"),
    [
        (
            refuse,
            {
                "code": "not-enough-data",
                "title": NotEnoughData.title,
                "status": 422,
                "detail": "one round is too few",
                "rounds": 1,
            },
        ),
        (
            break_down,
            {"code": "internal", "status": 500, "detail": "the gateway's log has it under the operation's id"},
        ),
    ],
)
def test_work_that_fails_says_why(store: MemoryStore, time: FakeTime, work: Work, problem: dict[str, Any]) -> None:
    gateway = Gateway(store, time, work)
    name = gateway.start().id
    gateway.held.run_all()
    end = gateway.operations.find_or_take_over(name)
    assert (end.state, end.problem, end.result) == (FAILED, problem, None)


def test_progress_is_stored_with_each_renewal(store: MemoryStore, time: FakeTime) -> None:
    seen: list[float | None] = []

    def work(operation: Operation, progress: Progress) -> Any:
        for done in (1, 3):
            progress(done, 4)
            gateway.operations.renew()
            seen.append(other.operations.find_or_take_over(operation.id).progress)
        progress(0, 0)

    gateway, other = Gateway(store, time, work), Gateway(store, time)
    gateway.start()
    gateway.held.run_all()
    assert seen == [0.25, 0.75]


def test_a_cancelled_operation_ends_at_its_next_step(store: MemoryStore, time: FakeTime) -> None:
    steps: list[int] = []

    def work(operation: Operation, progress: Progress) -> Any:
        for step in range(4):
            progress(step, 4)
            steps.append(step)
            if step == 1:
                gateway.operations.cancel(operation.id)

    gateway = Gateway(store, time, work)
    name = gateway.start().id
    gateway.held.run_all()
    end = gateway.operations.find_or_take_over(name)
    assert (steps, end.state, end.progress) == ([0, 1], CANCELLED, 0.25)


def test_cancelling_through_another_gateway_is_noticed_at_the_next_renewal(here: Gateway, there: Gateway) -> None:
    name = here.start().id
    assert there.operations.cancel(name).state == RUNNING
    here.operations.renew()
    here.held.run_all()
    assert there.operations.find_or_take_over(name).state == CANCELLED


def test_a_finished_operation_cannot_be_cancelled(here: Gateway, store: MemoryStore) -> None:
    name = here.start().id
    here.held.run_all()
    assert here.operations.cancel(name).state == SUCCEEDED
    assert list(store.contents) == [f"operations/{name}.json"]


def test_a_gateway_does_not_take_over_its_own_work(here: Gateway, time: FakeTime) -> None:
    """After it was stopped for a while, by a suspended laptop for example."""
    name = here.start().id
    time.clock.now = 1000.0
    assert here.operations.find_or_take_over(name).renewed_at == 0.0
    assert len(here.held) == 1


def test_a_cancelled_operation_that_is_taken_over_is_not_worked_on(
    here: Gateway, there: Gateway, time: FakeTime
) -> None:
    name = here.start().id
    there.operations.cancel(name)
    there.operations.sweep()
    time.clock.now = 16.0
    there.operations.find_or_take_over(name)
    there.held.run_all()
    assert there.operations.find_or_take_over(name).state == CANCELLED


def test_a_gateway_that_lost_its_operation_leaves_the_end_alone(here: Gateway, there: Gateway, time: FakeTime) -> None:
    name = here.start().id
    there.operations.sweep()
    time.clock.now = 16.0
    there.operations.sweep()
    there.held.run_all()
    end = there.operations.find_or_take_over(name)
    here.operations.renew()
    assert there.operations.find_or_take_over(name) == end
    here.held.run_all()
    assert there.operations.find_or_take_over(name) == end


def test_work_that_was_lost_to_another_gateway_is_not_done(store: MemoryStore, there: Gateway, time: FakeTime) -> None:
    done: list[str] = []
    here = Gateway(store, time, lambda operation, progress: done.append(operation.id))
    name = here.start().id
    there.operations.sweep()
    time.clock.now = 16.0
    there.operations.find_or_take_over(name)
    time.clock.now = 17.0
    here.operations.renew()
    here.held.run_all()
    assert done == []


def test_nothing_is_asked_of_the_store_for_operations_that_are_over(
    here: Gateway, there: Gateway, store: MemoryStore, time: FakeTime
) -> None:
    lost = here.start().id
    there.operations.sweep()
    time.clock.now = 16.0
    there.operations.find_or_take_over(lost)
    time.clock.now = 17.0
    here.start()
    here.operations.renew()
    here.held.run_all()
    calls: list[Call] = []
    store.before = calls.append
    here.operations.renew()
    assert calls == []


def test_an_operation_that_was_lost_and_taken_over_again_is_renewed(
    store: MemoryStore, there: Gateway, time: FakeTime
) -> None:
    """The first work's end, which counts for nothing, does not end the second."""
    renewals: list[float] = []

    def work(operation: Operation, progress: Progress) -> Any:
        time.clock.now = 40.0
        gateway.operations.renew()
        renewals.append(there.operations.find_or_take_over(operation.id).renewed_at)

    gateway = Gateway(store, time, work)
    name = gateway.start().id
    there.operations.sweep()
    time.clock.now = 16.0
    there.operations.find_or_take_over(name)
    time.clock.now = 17.0
    gateway.operations.renew()
    gateway.operations.sweep()
    time.clock.now = 33.0
    assert gateway.operations.find_or_take_over(name).renewed_at == 33.0
    assert len(gateway.held) == 2
    gateway.held.run_all()
    assert renewals == [40.0]


def test_a_sweep_deletes_what_was_kept_long_enough_and_takes_over_what_was_abandoned(
    store: MemoryStore, here: Gateway, there: Gateway, time: FakeTime
) -> None:
    old, cancelled = here.start().id, here.start().id
    here.operations.cancel(cancelled)
    here.held.run_all()
    time.clock.now = 86_390.0
    abandoned = here.start().id
    there.operations.sweep()
    time.clock.now = 86_406.0
    there.operations.sweep()
    assert list(store.contents) == [f"operations/{abandoned}.json"]
    assert there.operations.find_or_take_over(abandoned).renewed_at == 86_406.0
    with pytest.raises(NotFound):
        there.operations.find_or_take_over(old)


def test_a_running_operation_restores_its_deleted_record(here: Gateway, store: MemoryStore) -> None:
    name = here.start().id
    store.delete(f"operations/{name}.json")
    here.operations.renew()
    assert here.operations.find_or_take_over(name).state == RUNNING
    store.delete(f"operations/{name}.json")
    here.held.run_all()
    assert here.operations.find_or_take_over(name).state == SUCCEEDED


def test_an_operation_that_is_deleted_and_started_anew_is_the_new_owner_s(
    here: Gateway, there: Gateway, store: MemoryStore, time: FakeTime
) -> None:
    """Between a renewal that finds its record gone and the one that stores it anew, another gateway starts it."""
    name = here.start("key").id
    started: list[Operation] = []

    def start_there(call: Call) -> None:
        if call.method == "put":
            store.before = lambda call: None
            time.clock.now = 1.0
            started.append(there.start("key"))

    def wait_for_the_look(call: Call) -> None:
        if call.method == "get_with_info":
            store.before = start_there

    store.delete(f"operations/{name}.json")
    store.before = wait_for_the_look
    here.operations.renew()
    here.held.run_all()
    assert [here.operations.find_or_take_over(name)] == started
    there.held.run_all()
    assert here.operations.find_or_take_over(name).state == SUCCEEDED


def test_an_owner_recognises_its_own_write_whose_answer_was_lost(
    here: Gateway, store: MemoryStore, time: FakeTime
) -> None:
    """The store tries again and finds its own object in the way."""
    name = here.start().id
    put = store.put

    def put_twice(key: str, body: Any, **conditions: Any) -> Any:
        put(key, body, **conditions)
        return put(key, body, **conditions)

    store.put = put_twice  # type: ignore[method-assign]
    time.clock.now = 2.0
    here.operations.renew()
    here.held.run_all()
    assert here.operations.find_or_take_over(name).state == SUCCEEDED


def test_work_whose_end_could_not_be_stored_is_done_again(
    here: Gateway, there: Gateway, store: MemoryStore, time: FakeTime
) -> None:
    def fail(call: Call) -> None:
        raise StoreUnavailable("away")

    name = here.start().id
    store.before = fail
    here.held.run_all()
    store.before = lambda call: None
    assert here.operations.find_or_take_over(name).state == RUNNING
    there.operations.sweep()
    time.clock.now = 16.0
    there.operations.find_or_take_over(name)
    there.held.run_all()
    assert here.operations.find_or_take_over(name).state == SUCCEEDED


@pytest.mark.parametrize("skew", [-3600.0, -20.0, 20.0, 3600.0])
def test_clocks_that_differ_take_no_operation_from_its_gateway(store: MemoryStore, skew: float) -> None:
    """The other gateway looks every 2 s for a minute, and each time the record has just been renewed."""
    time, skewed = FakeTime(), FakeTime()
    here, there = Gateway(store, time), Gateway(store, skewed)
    name = here.start().id
    for _ in range(30):
        time.sleep(2.0)
        skewed.clock.now = time.clock.now + skew
        here.operations.renew()
        there.operations.find_or_take_over(name)
        there.operations.renew()
    assert (len(here.held), len(there.held)) == (1, 0)


def test_a_clock_that_stands_still_renews_all_the_same(store: MemoryStore, time: FakeTime) -> None:
    stopped = FakeTime()
    here, there = Gateway(store, stopped), Gateway(store, time)
    name = here.start().id
    for _ in range(30):
        time.sleep(2.0)
        here.operations.renew()
        there.operations.find_or_take_over(name)
    assert len(there.held) == 0


def test_an_operation_that_kills_three_gateways_is_set_aside(store: MemoryStore, time: FakeTime) -> None:
    """A gateway that is killed by its memory neither renews nor ends what it began."""

    class Killed(BaseException):
        pass

    def kill(operation: Operation, progress: Progress) -> Any:
        raise Killed

    name = Gateway(store, time).start().id
    watcher = Gateway(store, time)
    watcher.operations.sweep()
    attempts = []
    for _ in range(5):
        victim = Gateway(store, time, kill)
        victim.operations.sweep()
        time.sleep(16.0)
        victim.operations.renew()
        attempts.append(watcher.operations.find_or_take_over(name).attempts)
        if victim.held:
            with pytest.raises(Killed):
                victim.held.run_all()
    end = watcher.operations.find_or_take_over(name)
    assert attempts == [1, 2, 3, 3, 3], "waiting in a queue was no attempt"
    assert end.state == FAILED
    assert end.problem is not None
    assert end.problem["code"] == "gateways-lost"
    assert "3 gateways ended while they worked on this" in end.problem["detail"]
    assert len(watcher.held) == 0


def test_one_caller_fills_neither_the_workers_nor_the_queue_of_others(here: Gateway) -> None:
    def start(job: str, caller: str = "", key: str | None = None) -> Operation:
        return here.operations.start(JobId(job), "evaluate", PARAMS, key, caller=caller)

    first = start("a-1", "tenant", "key")
    for index in range(2 + MOST_WAITING_OF_ONE):
        start(f"a-{index}", "tenant")
    assert len(here.held) == 3
    with pytest.raises(Busy, match="16 of your operations wait for their turn already"):
        start("a-1", "tenant")
    assert start("a-1", "tenant", "key") == first, "what was started before is no new work"
    start("b-1")
    assert len(here.held) == 4
    here.held.run_all()
    start("a-1", "tenant")


def test_the_queue_is_bounded_for_all_together(here: Gateway, store: MemoryStore) -> None:
    for index in range(4 + MOST_WAITING):
        here.operations.start(JobId(f"job-{index}"), "evaluate", PARAMS, None)
    before = dict(store.contents)
    with pytest.raises(Busy, match="64 operations wait for their turn at this gateway"):
        here.operations.start(JOB, "evaluate", PARAMS, None)
    assert store.contents == before


def test_a_gateway_without_room_leaves_abandoned_work_to_others(here: Gateway, there: Gateway, time: FakeTime) -> None:
    name = here.start().id
    there.operations.sweep()
    for index in range(4 + MOST_WAITING):
        there.operations.start(JobId(f"job-{index}"), "evaluate", PARAMS, None)
    time.sleep(16.0)
    assert there.operations.find_or_take_over(name).renewed_at == 0.0
    there.held.run_all()
    assert there.operations.find_or_take_over(name).renewed_at == 16.0


def test_a_record_with_fields_of_a_later_release_is_read(here: Gateway, store: MemoryStore) -> None:
    started = here.start()
    key = f"operations/{started.id}.json"
    store.put(key, json.dumps({**json.loads(store.contents[key]), "colour": "blue"}).encode())
    assert here.operations.find_or_take_over(started.id) == started


class Race:
    """An operation that was abandoned at 0 s, and gateways that meet it at 16 s."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.time = FakeTime()
        self.time.clock.now = 0.0
        self.store = MemoryStore(self.time.now)
        self.runs: list[str] = []
        self.gateways = {name: Gateway(self.store, self.time, self.work(name)) for name in ("first", "second")}
        self.name = Gateway(self.store, self.time).start("key").id
        for gateway in self.gateways.values():
            gateway.operations.sweep()
        self.time.clock.now = 16.0
        self.store.before = scheduler.pause

    def work(self, gateway: str) -> Work:
        def work(operation: Operation, progress: Progress) -> Any:
            self.runs.append(gateway)
            progress(1, 2)
            return "answer"

        return work

    def stored(self) -> Any:
        return json.loads(self.store.contents[f"operations/{self.name}.json"])


def test_two_gateways_take_over_one_operation_and_one_does_the_work() -> None:
    def make(scheduler: Scheduler) -> Scenario:
        race = Race(scheduler)

        def take_over(gateway: Gateway) -> Operation:
            operation = gateway.operations.find_or_take_over(race.name)
            gateway.held.run_all()
            return operation

        def check(outcomes: Mapping[str, object]) -> None:
            assert len(race.runs) == 1
            assert (race.stored()["state"], race.stored()["result"]) == (SUCCEEDED, "answer")
            for operation in outcomes.values():
                assert isinstance(operation, Operation)
                assert operation.id == race.name

        return Scenario({name: lambda g=g: take_over(g) for name, g in race.gateways.items()}, check)  # type: ignore[misc]

    assert explore(make) > 2


def test_an_end_stays_whatever_an_earlier_owner_renews_or_finishes() -> None:
    """The first owner was stopped for 16 s while it worked, and goes on beside the second."""

    def make(scheduler: Scheduler) -> Scenario:
        race = Race(scheduler)
        first, second = race.gateways.values()
        race.store.before = lambda call: None
        race.time.clock.now = 0.0
        race.name = first.start("another key").id
        second.operations.sweep()
        race.time.clock.now = 16.0
        race.store.before = scheduler.pause
        ends: list[Any] = []

        def note_end(call: Call) -> None:
            if call.method == "put" and race.stored()["state"] != RUNNING:
                ends.append(race.stored())

        race.store.after = note_end

        def go_on() -> None:
            first.operations.renew()
            first.held.run_all()
            first.operations.renew()

        def take_over() -> None:
            second.operations.find_or_take_over(race.name)
            second.held.run_all()

        def check(outcomes: Mapping[str, object]) -> None:
            assert outcomes == {"go on": None, "take over": None}
            assert ends[0]["result"] == "answer"
            assert race.stored() == ends[0]
            assert all(end == ends[0] for end in ends)

        return Scenario({"go on": go_on, "take over": take_over}, check)

    assert explore(make) > 5


def test_cancelling_beside_the_end_leaves_one_end() -> None:
    def make(scheduler: Scheduler) -> Scenario:
        race = Race(scheduler)
        owner, other = race.gateways.values()
        race.store.before = lambda call: None
        race.name = owner.start("another key").id
        race.store.before = scheduler.pause

        def work_on() -> None:
            owner.operations.renew()
            owner.held.run_all()

        def check(outcomes: Mapping[str, object]) -> None:
            cancelled = outcomes["cancel"]
            assert isinstance(cancelled, Operation)
            state = race.stored()["state"]
            assert state in (SUCCEEDED, CANCELLED)
            if state == CANCELLED:
                assert cancelled.state == RUNNING, "who cancelled saw it running"
                assert race.stored()["result"] is None
            else:
                assert race.stored()["result"] == "answer"

        return Scenario({"work": work_on, "cancel": lambda: other.operations.cancel(race.name)}, check)

    assert explore(make) > 2


def test_a_key_used_again_beside_a_sweep_has_an_operation() -> None:
    """The operation under the key was kept long enough: a sweep deletes it while a caller starts another."""

    def make(scheduler: Scheduler) -> Scenario:
        race = Race(scheduler)
        first, second = race.gateways.values()
        race.store.before = lambda call: None
        first.operations.find_or_take_over(race.name)
        first.held.run_all()
        race.runs.clear()
        race.time.clock.now = 16.0 + 86_401.0
        race.store.before = scheduler.pause

        def start() -> Operation:
            operation = second.start("key")
            second.operations.renew()
            return operation

        def check(outcomes: Mapping[str, object]) -> None:
            race.store.before = lambda call: None
            assert isinstance(outcomes["start"], Operation)
            second.held.run_all()
            assert (race.runs, race.stored()["state"]) == (["second"], SUCCEEDED)
            assert race.stored()["created_at"] == race.time.clock.now

        return Scenario({"sweep": first.operations.sweep, "start": start}, check)

    assert explore(make) > 2
