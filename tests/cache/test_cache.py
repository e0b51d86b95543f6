"""The cache keeps values exactly as long as the ledger counts them."""

import random
from collections.abc import Callable
from threading import Thread

import numpy as np
import numpy.typing as npt

from flstore_core.cache import Cache, Ledger
from flstore_core.patterns import Pattern
from flstore_core.policies import Cause, Key, Request, make_policy
from tests.fakes.clock import Clock

Array = npt.NDArray[np.uint8]


def _cache(budget: int) -> Cache[Array]:
    policy = make_policy("lru+arrival", budget, lambda: 0.0, random.Random(0))
    return Cache(Ledger(policy, budget, lambda: 0.0))


def _value(size: int = 10) -> Array:
    return np.zeros(size, np.uint8)


def test_values_come_back_uncopied() -> None:
    cache, value = _cache(30), _value()
    cache.ingest(Key("j", 0, "a"), value)
    assert cache.get(Key("j", 0, "a")) is value
    lookup = cache.request(Request("j", "w", Pattern.P1, (Key("j", 0, "a"), Key("j", 0, "b"))))
    assert lookup.values == {Key("j", 0, "a"): value}
    assert lookup.access.missing == (Key("j", 0, "b"),)


def test_values_leave_with_their_keys() -> None:
    cache = _cache(20)
    for number in range(3):
        cache.fill({Key("j", number, "a"): _value()}, Cause.DEMAND, Pattern.P2)
    assert cache.get(Key("j", 0, "a")) is None
    assert cache.discard(Key("j", 1, "a"))
    assert cache.keys() == [Key("j", 2, "a")]
    assert cache.discard_job("j") == 1
    assert cache.keys() == []


def test_a_cache_says_when_its_policy_last_heard_of_something() -> None:
    clock = Clock()
    cache: Cache[Array] = Cache(Ledger(make_policy("lru+arrival", 30, clock, random.Random(0)), 30, clock))
    key = Key("j", 0, "a")
    events: list[Callable[[], object]] = [
        lambda: cache.ingest(key, _value()),
        lambda: cache.request(Request("j", "w", Pattern.P1, (key,))),
        lambda: cache.commit("j", 0),
    ]
    for second, event in enumerate(events, start=1):
        clock.now = float(second)
        event()
        clock.now += 0.5
        cache.fill({Key("j", 1, "a"): _value()}, Cause.PREFETCH, Pattern.P2)
        assert cache.snapshot()["event_s"] == second


def test_pinned_values_outlive_pressure() -> None:
    cache, key = _cache(10), Key("j", 0, "a")
    cache.ingest(key, _value())
    cache.pin([key])
    assert not cache.ingest(Key("j", 1, "a"), _value()).admitted
    cache.unpin([key])
    assert cache.ingest(Key("j", 1, "a"), _value()).evicted == [key]


def test_threads_never_see_keys_and_values_apart() -> None:
    cache = _cache(100)

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(500):
            key = Key("j", rng.randrange(20), "a")
            cache.fill({key: _value(rng.randrange(1, 40))}, Cause.DEMAND, Pattern.P2)
            cache.request(Request("j", "w", Pattern.P2, (key,)))

    threads = [Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = [cache.get(key) for key in cache.keys()]  # noqa: SIM118 - not a dict
    assert sum(value.nbytes for value in values if value is not None) == cache.snapshot()["used_bytes"] <= 100
    assert cache.snapshot()["objects"] == len(values)


def test_a_cache_says_its_budget_and_what_it_holds() -> None:
    cache = _cache(30)
    assert cache.budget == 30
    for number in (2, 0):
        cache.ingest(Key("j", number, "a"), _value())
    assert cache.keys() == [Key("j", 2, "a"), Key("j", 0, "a")]
    assert cache.snapshot()["used_bytes"] == 20


def test_a_key_is_explained_as_the_ledger_does() -> None:
    cache = _cache(10)
    for number in (0, 1):
        cache.ingest(Key("j", number, "a"), _value())
    assert cache.explain(Key("j", 1, "a")).why == "arrival; recently used"
    assert cache.explain(Key("j", 0, "a")).why == "evicted: least-recent"


def test_a_commit_returns_what_to_prefetch_and_prefetched_values_are_served() -> None:
    policy = make_policy("tailored", 30, lambda: 0.0, random.Random(0))
    cache: Cache[Array] = Cache(Ledger(policy, 30, lambda: 0.0))
    first, second = Key("j", 0, "a"), Key("j", 0, "b")
    for key in (first, second):
        cache.ingest(key, _value())
    cache.discard(first)
    assert cache.commit("j", 0) == [({first: 10}, Pattern.P2)]
    value = _value()
    cache.fill({first: value}, Cause.PREFETCH, Pattern.P2)
    assert cache.get(first) is value


def test_a_value_in_use_stays_whole_when_it_is_evicted() -> None:
    cache, value = _cache(10), np.arange(10, dtype=np.uint8)
    cache.ingest(Key("j", 0, "a"), value)
    held = cache.request(Request("j", "w", Pattern.P1, (Key("j", 0, "a"),))).values[Key("j", 0, "a")]
    cache.ingest(Key("j", 1, "a"), _value())
    assert cache.get(Key("j", 0, "a")) is None
    assert held.tolist() == list(range(10))


def test_an_offer_twice_keeps_the_first_value() -> None:
    cache, first = _cache(30), _value()
    cache.ingest(Key("j", 0, "a"), first)
    cache.fill({Key("j", 0, "a"): _value()}, Cause.DEMAND, Pattern.P2)
    assert cache.get(Key("j", 0, "a")) is first
