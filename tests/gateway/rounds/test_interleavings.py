"""What racing writers are promised, under every order of their calls of the store.

Each operation goes through a gateway of its own, as behind a load balancer, so that they meet in the store alone.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from math import inf

import pytest

from flstore_core import layout
from flstore_core.errors import Conflict, NotFound, RoundCommitted
from flstore_core.records import Round
from services.gateway.rounds.index import JobIndex
from services.gateway.rounds.ingest import Receipt
from tests.fakes.interleaving import RacingTime, Scenario, Scheduler, explore, never, sample
from tests.gateway.rounds.world import JOB, NAME, World, body, gram, world

Outcomes = Mapping[str, object]
Operation = Callable[[World], object]
Check = Callable[[World, Outcomes], None]


def racing(
    before: Operation, operations: Mapping[str, Operation], check: Check, *, together: bool = False
) -> Callable[[Scheduler], Scenario]:
    """Return a scenario: `before` is done first, then each operation through its own gateway, or all `together`."""

    def make(scheduler: Scheduler) -> Scenario:
        time = RacingTime(scheduler)
        setting = world(time=time)
        before(setting)
        store = setting.store
        store.before = scheduler.pause

        def bind(operation: Operation) -> Callable[[], object]:
            gateway = setting if together else World.make(store, time)
            gateway.backends.shards.before = scheduler.pause
            return lambda: operation(gateway)

        def check_all(outcomes: Outcomes) -> None:
            store.before = setting.backends.shards.before = lambda call: None
            check(setting if together else World.make(store, time), outcomes)

        return Scenario({name: bind(operation) for name, operation in operations.items()}, check_all)

    return make


def nothing(setting: World) -> None:
    """There is a job and nothing in it."""


def round_opened(setting: World) -> None:
    setting.put(0, "early", 9)


def other_round_opened(setting: World) -> None:
    setting.put(1, "early", 9)


def two_delivered(setting: World) -> None:
    setting.put(0, "c", 1)
    setting.put(0, "early", 9)


def three_committed(setting: World) -> None:
    two_delivered(setting)
    setting.put(0, "d", 2)
    setting.commit(0)


def keep_promises(setting: World, outcomes: Outcomes) -> None:
    """Assert what must hold after any operations on round 0 except erasures."""
    record = setting.stored_record(0)
    for outcome in outcomes.values():
        if isinstance(outcome, Receipt):
            stored = setting.stored_member(0, outcome.member.client)
            assert stored is not None, "an acknowledged update has its record"
            assert stored.sha256 == outcome.member.sha256
            assert record is None or outcome.member.client in record.by_client, (
                "and is in the round if that is committed"
            )
        elif isinstance(outcome, Round):
            assert outcome == record, "every commit is answered with the one record"
        else:
            assert isinstance(outcome, Conflict | RoundCommitted | JobIndex), outcome
    for member in record.members if record else setting.rounds.records.read_members(JOB, 0):
        tensors = setting.stored_tensors(0, member.client)
        assert tensors is not None
        assert sha256(tensors).hexdigest() == member.sha256, "a record names the bytes that are stored"
    if record:
        stored_names = {key for key in setting.store.contents if "/clients/" in key}
        assert len(stored_names) == 2 * len(record.members), "nothing is left of updates that came too late"
        statistics = setting.statistics.repair(JOB, record, setting.stored_statistics(0)).statistics
        if not record.members:
            assert statistics is None
            return
        assert statistics is not None
        seeds = [SEEDS[member.sha256] for member in record.members]
        assert statistics.gram.tolist() == gram(seeds), "statistics are those of the round's members"


SEEDS = {sha256(body(seed)).hexdigest(): seed for seed in (1, 2, 9)}


def put_1(gateway: World) -> object:
    return gateway.put(0, "c", 1)


def put_2(gateway: World) -> object:
    return gateway.put(0, "c", 2)


def put_other(gateway: World) -> object:
    return gateway.put(0, "d", 2)


def commit(gateway: World) -> object:
    return gateway.commit(0)


def commit_otherwise(gateway: World) -> object:
    return gateway.commit(0, metrics={"accuracy": 0.5})


def refresh(gateway: World) -> object:
    return gateway.rounds.catalog.refresh(NAME)


def erase_c(gateway: World) -> object:
    return gateway.erase("c")


def erase_d(gateway: World) -> object:
    return gateway.erase("d")


def delete_job(gateway: World) -> object:
    gateway.jobs.delete(NAME)
    return None


def summary(outcome: object) -> str:
    """Return an outcome in one word, or a committed round as its members."""
    if isinstance(outcome, Receipt):
        return "created" if outcome.created else "repeated"
    if isinstance(outcome, Round):
        return "+".join(member.client for member in outcome.members) or "empty"
    return type(outcome).__name__


def outcomes_of(before: Operation, operations: Sequence[Operation], check: Check, preemptions: float = inf) -> set[str]:
    """Explore a race, checking the end of every schedule; return the different ends."""
    ends: set[str] = set()

    def note(setting: World, outcomes: Outcomes) -> None:
        ends.add(", ".join(summary(outcome) for outcome in outcomes.values()))
        check(setting, outcomes)

    names = "ABC"[: len(operations)]
    explore(racing(before, dict(zip(names, operations, strict=True)), note), preemptions=preemptions)
    return ends


def test_the_same_bytes_at_once_are_stored_once() -> None:
    assert outcomes_of(nothing, [put_1, put_1], keep_promises) == {"created, repeated", "repeated, created"}


def test_of_other_bytes_at_once_one_are_stored() -> None:
    assert outcomes_of(nothing, [put_1, put_2], keep_promises) == {"created, Conflict", "Conflict, created"}


def test_the_same_bytes_three_times_at_once_are_stored_once() -> None:
    ends = outcomes_of(nothing, [put_1, put_1, put_1], keep_promises, preemptions=2)
    assert ends == {"created, repeated, repeated", "repeated, created, repeated", "repeated, repeated, created"}


def test_an_update_that_races_the_commit_is_in_the_round_or_refused() -> None:
    ends = outcomes_of(round_opened, [put_1, commit], keep_promises)
    assert ends == {"created, c+early", "RoundCommitted, early"}


def test_the_first_update_of_a_round_may_race_its_commit() -> None:
    assert outcomes_of(nothing, [put_1, commit], keep_promises) == {"created, c", "RoundCommitted, empty"}


def test_two_updates_that_race_the_commit_are_each_in_the_round_or_refused() -> None:
    ends = outcomes_of(round_opened, [put_1, put_other, commit], keep_promises, preemptions=2)
    assert ends == {
        "created, created, c+d+early",
        "created, RoundCommitted, c+early",
        "RoundCommitted, created, d+early",
        "RoundCommitted, RoundCommitted, early",
    }


def test_an_overlapping_retry_is_acknowledged_only_if_the_commit_counts_it() -> None:
    ends = outcomes_of(round_opened, [put_1, put_1, commit], keep_promises, preemptions=2)
    assert ends == {
        "created, repeated, c+early",
        "repeated, created, c+early",
        "RoundCommitted, RoundCommitted, early",
    }


def test_other_bytes_and_a_commit_at_once() -> None:
    ends = outcomes_of(round_opened, [put_1, put_2, commit], keep_promises, preemptions=2)
    won = {"created, Conflict, c+early", "Conflict, created, c+early"}
    lost = {
        "RoundCommitted, Conflict, early",
        "Conflict, RoundCommitted, early",
        "RoundCommitted, RoundCommitted, early",
    }
    assert ends == won | lost


def test_commits_at_once_are_answered_with_one_record() -> None:
    assert outcomes_of(round_opened, [commit, commit], keep_promises, preemptions=3) == {"early, early"}


def test_of_commits_in_other_words_one_wins() -> None:
    ends = outcomes_of(round_opened, [commit, commit_otherwise], keep_promises, preemptions=3)
    assert ends == {"early, Conflict", "Conflict, early"}


def test_two_commits_and_an_update_agree_on_the_members() -> None:
    ends = outcomes_of(round_opened, [put_1, commit, commit], keep_promises, preemptions=2)
    assert ends == {"created, c+early, c+early", "RoundCommitted, early, early"}


@pytest.mark.parametrize("seed", range(3))
def test_chance_finds_no_order_that_breaks_a_promise(seed: int) -> None:
    operations = {"A": put_1, "B": put_1, "C": put_other, "D": commit, "E": commit}
    sample(racing(round_opened, operations, keep_promises), runs=60, seed=seed)


def is_erased(setting: World, client: str) -> bool:
    record, statistics = setting.stored_record(0), setting.stored_statistics(0)
    return not (
        setting.stored_member(0, client)
        or setting.stored_tensors(0, client)
        or (record and client in record.by_client)
        or (statistics and client in statistics.members)
    )


def test_erasures_of_two_clients_at_once_both_last() -> None:
    def check(setting: World, outcomes: Outcomes) -> None:
        assert is_erased(setting, "c")
        assert is_erased(setting, "d")
        record = setting.stored_record(0)
        assert record is not None
        assert list(record.by_client) == ["early"]

    assert outcomes_of(three_committed, [erase_c, erase_d], check, preemptions=3) == {"Erasure, Erasure"}


def test_erasures_of_one_client_at_once_erase_it() -> None:
    def check(setting: World, outcomes: Outcomes) -> None:
        assert is_erased(setting, "c")
        assert setting.stored_member(0, "early")

    ends = outcomes_of(three_committed, [erase_c, erase_c], check, preemptions=2)
    assert ends == {"Erasure, Erasure", "Erasure, NotFound", "NotFound, Erasure"}


def test_an_erasure_that_races_a_commit_leaves_nothing() -> None:
    def check(setting: World, outcomes: Outcomes) -> None:
        record = setting.rounds.records.read_record(JOB, 0)
        assert is_erased(setting, "c")
        assert setting.stored_tensors(0, "early") == body(9)
        assert "c~u1.safetensors" not in setting.stored_files(0)
        if record:
            statistics = setting.statistics.repair(JOB, record, setting.stored_statistics(0)).statistics
            assert statistics is not None
            assert statistics.members == ("early",)
            assert statistics.gram.tolist() == gram([9])

    ends = outcomes_of(two_delivered, [erase_c, commit], check, preemptions=2)
    assert ends == {"Erasure, early", "Erasure, c+early"}


def test_an_update_sent_again_during_its_erasure_is_there_whole_or_not_at_all() -> None:
    def check(setting: World, outcomes: Outcomes) -> None:
        whole = setting.stored_member(0, "c") and setting.stored_tensors(0, "c") == body(1)
        assert whole or is_erased(setting, "c")

    ends = outcomes_of(two_delivered, [erase_c, put_1], check, preemptions=2)
    assert ends == {"Erasure, created", "Erasure, repeated"}


def create_anew(gateway: World) -> object:
    try:
        return gateway.jobs.create(JOB)[1]
    except NotFound as error:  # it was deleted again
        return error


def delete_and_create(gateway: World) -> object:
    gateway.jobs.delete(NAME)
    return create_anew(gateway)


def nothing_of_ended_generations(setting: World, outcomes: Outcomes) -> None:
    """Assert that all that is stored belongs to the job that there is, if there is one."""
    try:
        homes = {setting.rounds.generations.read(NAME).home}
    except NotFound:
        homes = set()
    left = [
        key for key in setting.store.contents if key.startswith(layout.job_prefix(NAME)) and key != layout.job(NAME)
    ]
    assert not [key for key in left if not any(key.startswith(f"{home}/") for home in homes)]


@pytest.mark.parametrize("operation", [put_1, put_other, commit, erase_c], ids=["repeat", "put", "commit", "erase"])
def test_nothing_is_left_of_a_deleted_job(operation: Operation) -> None:
    ends = outcomes_of(two_delivered, [delete_job, operation], nothing_of_ended_generations)
    assert "NoneType, NotFound" in ends
    assert len(ends) > 1, "the operation may come first"


@pytest.mark.parametrize("operation", [put_1, put_other, commit], ids=["repeat", "put", "commit"])
def test_nothing_of_a_deleted_job_gets_into_its_successor(operation: Operation) -> None:
    """The operation was begun for the first job, so it counts there or not at all."""

    def check(setting: World, outcomes: Outcomes) -> None:
        nothing_of_ended_generations(setting, outcomes)
        index = setting.rounds.catalog.refresh(NAME)
        assert (list(index.open), list(index.committed)) == ([], [])

    ends = outcomes_of(two_delivered, [delete_and_create, operation], check, preemptions=2)
    assert "bool, NotFound" in ends


def test_what_a_new_job_acknowledges_outlives_every_deletion_of_the_old_one() -> None:
    def create_and_put(gateway: World) -> object:
        if create_anew(gateway) is not True:
            return None
        job = gateway.rounds.catalog.read_job(NAME)
        return job.home, gateway.put(0, "c", 1, job=job)

    def check(setting: World, outcomes: Outcomes) -> None:
        nothing_of_ended_generations(setting, outcomes)
        if isinstance(outcomes["B"], tuple):
            home, _ = outcomes["B"]
            stored = [
                setting.store.contents[key] for key in setting.store.contents if key.startswith(f"{home}/rounds/")
            ]
            assert body(1) in stored

    assert outcomes_of(two_delivered, [delete_job, create_and_put], check, preemptions=2) >= {"NoneType, tuple"}


@pytest.mark.parametrize("before", [nothing, delete_job], ids=["while-there-is-one", "after-a-deletion"])
def test_creations_at_once_make_one_job(before: Operation) -> None:
    def check(setting: World, outcomes: Outcomes) -> None:
        assert sorted(outcomes.values(), key=str) == [False, before is delete_job]

    outcomes_of(before, [create_anew, create_anew], check)


@pytest.mark.parametrize(
    ("before", "operations"),
    [
        (nothing, [put_1, put_2]),
        (nothing, [put_1, commit]),
        (round_opened, [put_1, commit]),
        (round_opened, [commit, commit]),
        (other_round_opened, [put_1, refresh]),
        (round_opened, [commit, refresh]),
        (round_opened, [refresh, refresh]),
    ],
)
def test_operations_through_one_gateway_leave_it_knowing_what_is_stored(
    before: Operation, operations: list[Operation]
) -> None:
    """They share caches here, so calls of different keys can matter to each other: all orders with two switches run."""

    def check(setting: World, outcomes: Outcomes) -> None:
        keep_promises(setting, outcomes)
        fresh = World.make(setting.store, setting.time)
        ours, theirs = (gateway.rounds.catalog.read_index(NAME) for gateway in (setting, fresh))
        assert list(ours.committed) == list(theirs.committed)
        assert list(ours.open) == list(theirs.open)
        assert ours.participations == theirs.participations
        assert setting.rounds.records.read_record(JOB, 0) == setting.stored_record(0)

    scenario = racing(before, dict(zip("AB", operations, strict=True)), check, together=True)
    assert explore(scenario, never, preemptions=2) > 20
