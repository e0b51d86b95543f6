"""The walk through schedules finds what it is to find, and no order twice."""

from collections.abc import Callable, Mapping
from math import comb

import pytest

from tests.fakes.interleaving import Scenario, Scheduler, explore, never, sample
from tests.fakes.store import Call, MemoryStore

Outcomes = Mapping[str, object]


def puts(scheduler: Scheduler, keys: Mapping[str, str], seen: list[dict[str, bytes]]) -> Scenario:
    """Return operations that put their own name under each of their keys; `seen` gets what is stored in the end."""
    store = MemoryStore()
    store.before = scheduler.pause

    def operation(name: str) -> Callable[[], None]:
        def put_all() -> None:
            for key in keys[name]:
                store.put(key, name.encode())

        return put_all

    def check(outcomes: Outcomes) -> None:
        assert set(outcomes.values()) == {None}
        seen.append(store.contents)

    return Scenario({name: operation(name) for name in keys}, check)


@pytest.mark.parametrize(("calls", "others"), [(1, 1), (2, 2), (3, 4)])
def test_without_reduction_every_interleaving_is_run(calls: int, others: int) -> None:
    keys = {"A": "abcd"[:calls], "B": "wxyz"[:others]}
    assert explore(lambda scheduler: puts(scheduler, keys, []), never) == comb(calls + others, calls)


def test_orders_that_cannot_matter_are_run_once() -> None:
    seen: list[dict[str, bytes]] = []
    assert explore(lambda scheduler: puts(scheduler, {"A": "xy", "B": "yz"}, seen)) == 2
    assert [contents["y"] for contents in seen] == [b"A", b"B"] or [contents["y"] for contents in seen] == [b"B", b"A"]


def test_operations_that_never_meet_need_one_run() -> None:
    assert explore(lambda scheduler: puts(scheduler, {"A": "ab", "B": "cd", "C": "ef"}, [])) == 1


def test_reduction_loses_no_outcome() -> None:
    keys = {"A": "xyx", "B": "yxz", "C": "zy"}
    whole: list[dict[str, bytes]] = []
    reduced: list[dict[str, bytes]] = []
    everything = explore(lambda scheduler: puts(scheduler, keys, whole), never)
    fewer = explore(lambda scheduler: puts(scheduler, keys, reduced))
    assert everything == 560  # 8! / (3! 3! 2!)
    assert fewer < everything / 5
    assert {tuple(sorted(contents.items())) for contents in whole} == {
        tuple(sorted(contents.items())) for contents in reduced
    }


@pytest.mark.parametrize(("preemptions", "runs"), [(0, 2), (1, 2 + 2 * 2)])
def test_switches_are_bounded(preemptions: int, runs: int) -> None:
    keys = {"A": "abc", "B": "xyz"}
    assert explore(lambda scheduler: puts(scheduler, keys, []), never, preemptions) == runs


def lost_update(scheduler: Scheduler) -> Scenario:
    store = MemoryStore()
    store.put("count", b"0")
    store.before = scheduler.pause

    def increment() -> None:
        store.put("count", b"%d" % (int(store.get("count")) + 1))

    def check(outcomes: Outcomes) -> None:
        assert store.contents["count"] == b"2"

    return Scenario({"A": increment, "B": increment}, check)


def test_a_race_is_found_and_its_schedule_told() -> None:
    with pytest.raises(AssertionError) as caught:
        explore(lost_update)
    (note,) = caught.value.__notes__
    steps = note.splitlines()[1:]
    assert sorted(steps) == ["A: get count", "A: put count", "B: get count", "B: put count"]
    assert {step[3:] for step in steps[:2]} == {"get count"}, "both read before either writes"


def test_chance_finds_it_too() -> None:
    with pytest.raises(AssertionError):
        sample(lost_update, runs=50, seed=1)


def test_a_sleeper_goes_on_after_a_write() -> None:
    polls: list[int] = []

    def waiting(scheduler: Scheduler) -> Scenario:
        store = MemoryStore()
        store.before = scheduler.pause

        def wait() -> int:
            count = 0
            while not list(store.list("done")):
                count += 1
                scheduler.sleep(1.0)
            return count

        def write() -> None:
            store.put("other", b"")
            store.put("done/it", b"")

        def check(outcomes: Outcomes) -> None:
            count = outcomes["reader"]
            assert isinstance(count, int)
            polls.append(count)

        return Scenario({"reader": wait, "writer": write}, check)

    explore(waiting)
    assert set(polls) == {0, 1, 2}


def test_what_an_operation_raises_is_its_outcome() -> None:
    def failing(scheduler: Scheduler) -> Scenario:
        def fail() -> None:
            scheduler.pause(Call("put", "k"))
            raise KeyError("k")

        def check(outcomes: Outcomes) -> None:
            assert isinstance(outcomes["A"], KeyError)

        return Scenario({"A": fail}, check)

    assert explore(failing) == 1
