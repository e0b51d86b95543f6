"""The ledger's accounts are exact, and it holds policies to their contract."""

import json
import random
from collections.abc import Container

import pytest

from flstore_core.cache import Ledger
from flstore_core.cache.ledger import HISTORY
from flstore_core.errors import InsufficientCapacity, InvalidParameters
from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies import Cause, Key, PolicyDefect, Request, make_policy
from flstore_core.policies.base import Victims
from flstore_core.policies.classic.lru import LRU
from tests.fakes.clock import Clock

JOB = "job"


def _ledger(name: str = "lru+arrival", budget: int = 30, clock: Clock | None = None) -> Ledger:
    clock = clock or Clock()
    return Ledger(make_policy(name, budget, clock, random.Random(0)), budget, clock)


def _key(number: int, client: str = "a") -> Key:
    return Key(JOB, number, client)


def _ask(*keys: Key, pattern: Pattern = Pattern.P2) -> Request:
    return Request(JOB, "clustering", pattern, keys)


def test_the_example_in_the_module() -> None:
    ledger = _ledger()
    a, b, c, d = (_key(0, client) for client in "abcd")
    tally = ledger.tallies[Pattern.P2]
    for key in (a, b, c):
        ledger.ingest(key, 10)
    assert ledger.used == 30
    ledger.request(_ask(a, d))
    assert (tally.requests, tally.keys, tally.key_hits, tally.bytes_hit) == (1, 2, 1, 10)
    assert ledger.fill({d: 10}, Cause.DEMAND, Pattern.P2).evicted == [b]
    assert (tally.bytes_missed, tally.evictions) == (10, 1)
    ledger.request(_ask(a, d))
    assert (tally.requests, tally.hits, tally.keys, tally.key_hits, tally.bytes_hit) == (2, 1, 4, 3, 30)
    assert ([key for key in (a, b, c, d) if key in ledger], ledger.used) == ([a, c, d], 30)
    with pytest.raises(InsufficientCapacity):
        ledger.fill({_key(0, "e"): 40}, Cause.DEMAND, Pattern.P2)


def test_a_request_hits_only_if_every_key_is_cached() -> None:
    ledger = _ledger()
    ledger.ingest(_key(0), 10)
    assert ledger.request(_ask(_key(0))).hit
    access = ledger.request(_ask(_key(0), _key(1)))
    assert not access.hit
    assert access.missing == (_key(1),)
    tally = ledger.tallies[Pattern.P2]
    assert (tally.requests, tally.hits, tally.keys, tally.key_hits) == (2, 1, 3, 2)


def test_bytes_are_counted_where_they_were_found() -> None:
    ledger = _ledger()
    ledger.ingest(_key(0), 10)
    ledger.request(_ask(_key(0), _key(1)))
    ledger.fill({_key(1): 20}, Cause.DEMAND, Pattern.P2)
    figures = ledger.tallies[Pattern.P2].to_json()
    assert (figures["bytes_hit"], figures["bytes_missed"]) == (10, 20)
    assert figures["byte_hit_rate"] == pytest.approx(1 / 3)


def test_room_is_made_by_evicting_and_every_eviction_is_reported() -> None:
    ledger = _ledger(budget=30)
    for number in range(3):
        ledger.ingest(_key(number), 10)
    outcome = ledger.ingest(_key(3), 20)
    assert (list(outcome.admitted), outcome.evicted) == ([_key(3)], [_key(0), _key(1)])
    assert ledger.used == 30
    assert ledger.eviction_reasons == {"least-recent": 2}


def test_demand_filling_leaves_arrivals_out() -> None:
    ledger = _ledger("lru")
    assert not ledger.ingest(_key(0), 10).admitted
    assert len(ledger) == 0


def test_ingesting_twice_changes_nothing() -> None:
    ledger = _ledger()
    ledger.ingest(_key(0), 10)
    assert ledger.ingest(_key(0), 10) == ((_key(0),), ())
    assert ledger.used == 10


def test_an_object_larger_than_the_budget_is_refused_with_both_sizes() -> None:
    ledger = _ledger(budget=30)
    refusal = r"round 0 a of job 'job' has 31 bytes .* budget is 30"
    with pytest.raises(InsufficientCapacity, match=refusal):
        ledger.ingest(_key(0), 31)
    with pytest.raises(InsufficientCapacity, match=refusal):
        ledger.fill({_key(0): 31}, Cause.DEMAND, Pattern.P2)


def test_a_budget_must_be_positive() -> None:
    with pytest.raises(InvalidParameters, match="budget is 0 bytes"):
        _ledger(budget=0)


def test_pins_count_and_hold_until_the_last_is_gone() -> None:
    ledger = _ledger(budget=10)
    ledger.ingest(_key(0), 10)
    ledger.pin(_key(0))
    ledger.pin(_key(0))
    ledger.unpin(_key(0))
    assert not ledger.ingest(_key(1), 10).admitted
    assert ledger.eviction_reasons == {}
    ledger.unpin(_key(0))
    assert ledger.ingest(_key(1), 10).evicted == [_key(0)]


def test_what_is_fetched_together_is_cached_together_or_as_far_as_there_is_room() -> None:
    ledger = _ledger(budget=30)
    ledger.ingest(_key(9), 10)
    both = ledger.fill({_key(0): 10, _key(1): 10}, Cause.DEMAND, Pattern.P2)
    assert (list(both.admitted), list(both.evicted)) == ([_key(0), _key(1)], [])
    four = ledger.fill({_key(1): 10, **{_key(number): 10 for number in range(2, 6)}}, Cause.DEMAND, Pattern.P2)
    assert list(four.admitted) == [_key(3), _key(4), _key(5)]
    assert set(four.evicted) == {_key(9), _key(0), _key(1)}
    assert (ledger.used, len(ledger)) == (30, 3)


def test_nothing_to_fill_changes_nothing() -> None:
    ledger = _ledger()
    assert ledger.fill({}, Cause.DEMAND, Pattern.P2) == ((), ())
    assert ledger.overall().bytes_missed == 0


def test_prefetches_are_used_once_or_wasted() -> None:
    ledger = _ledger(budget=20)
    for number in (0, 1):
        ledger.fill({_key(number): 10}, Cause.PREFETCH, Pattern.P3)
    ledger.request(_ask(_key(0)))
    ledger.request(_ask(_key(0)))
    ledger.discard(_key(1))
    tally = ledger.tallies[Pattern.P3]
    assert (tally.prefetches, tally.prefetches_used, tally.prefetches_wasted) == (2, 1, 1)


def test_deleting_a_job_leaves_others_alone() -> None:
    ledger = _ledger(budget=100)
    other = Key("other", 0, "a")
    for key in (_key(0), _key(1), other):
        ledger.ingest(key, 10)
    assert set(ledger.discard_job(JOB)) == {_key(0), _key(1)}
    assert (len(ledger), ledger.used) == (1, 10)
    assert other in ledger


def test_explain_says_since_when_and_why_or_when_and_why_not() -> None:
    clock = Clock()
    ledger = _ledger(budget=10, clock=clock)
    clock.now = 5.0
    ledger.ingest(_key(0), 10)
    kept = ledger.explain(_key(0))
    assert (kept.cached, kept.since, kept.why) == (True, 5.0, "arrival; recently used")
    clock.now = 7.0
    ledger.ingest(_key(1), 10)
    gone = ledger.explain(_key(0))
    assert (gone.cached, gone.since, gone.why) == (False, 7.0, "evicted: least-recent")
    assert ledger.explain(_key(9)).since is None


def test_only_so_many_evictions_are_remembered() -> None:
    ledger = _ledger(budget=10)
    for number in range(HISTORY + 2):
        ledger.ingest(_key(number), 10)
    assert ledger.explain(_key(0)).since is None
    assert ledger.explain(_key(1)).since is not None


def test_objects_are_counted_with_the_pattern_they_are_kept_for() -> None:
    ledger = _ledger(budget=10)
    for client in ("a", AGGREGATE, METADATA, "b"):
        ledger.ingest(_key(0, client), 10)
    evictions = {pattern: tally.evictions for pattern, tally in ledger.tallies.items()}
    assert evictions == {Pattern.P1: 1, Pattern.P2: 1, Pattern.P3: 0, Pattern.P4: 1}


def test_snapshot_is_plain_json() -> None:
    ledger = _ledger()
    ledger.ingest(_key(0), 10)
    ledger.request(_ask(_key(0)))
    snapshot = json.loads(json.dumps(ledger.snapshot()))
    assert snapshot["policy"] == "lru+arrival"
    assert (snapshot["budget_bytes"], snapshot["used_bytes"], snapshot["objects"]) == (30, 10, 1)
    assert snapshot["overall"]["hit_rate"] == snapshot["P2"]["hit_rate"] == 1.0


def test_unpinning_what_is_not_pinned_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        _ledger().unpin(_key(0))


def test_a_key_may_be_pinned_before_it_is_cached() -> None:
    ledger = _ledger(budget=10)
    ledger.pin(_key(0))
    ledger.ingest(_key(0), 10)
    assert ledger.explain(_key(0)).pinned
    assert not ledger.ingest(_key(1), 10).admitted


def test_the_newest_explanation_of_a_key_counts() -> None:
    clock = Clock()
    ledger = _ledger(budget=10, clock=clock)
    for number in (0, 1, 0, 1):
        clock.now += 1.0
        ledger.ingest(_key(number), 10)
    assert ledger.explain(_key(0)).since == 4.0
    assert ledger.discard(_key(1))
    assert ledger.explain(_key(1)).why == "discarded: erased, deleted or replaced"
    assert not ledger.discard(_key(1))


def test_objects_of_no_bytes_are_cached_without_room() -> None:
    ledger = _ledger(budget=10)
    ledger.ingest(_key(0), 10)
    assert ledger.ingest(_key(1), 0).admitted
    assert (len(ledger), ledger.used, ledger.eviction_reasons) == (2, 10, {})


def test_an_offer_of_what_is_cached_already_admits_all_of_it() -> None:
    ledger = _ledger(budget=30)
    ledger.ingest(_key(0), 10)
    outcome = ledger.fill({_key(0): 10, _key(1): 10}, Cause.DEMAND, Pattern.P2)
    assert (list(outcome.admitted), list(outcome.evicted)) == ([_key(0), _key(1)], [])
    assert ledger.fill({_key(0): 10}, Cause.PREFETCH, Pattern.P2).admitted == [_key(0)]
    assert ledger.overall().prefetches == 0


class Inventive(LRU):
    """Evicts what was never cached."""

    def evict(self, needed: int, pinned: Container[Key]) -> list[Victims]:
        return [({_key(99): needed}, "invented")]


class Ruthless(LRU):
    """Evicts what is pinned."""

    def evict(self, needed: int, pinned: Container[Key]) -> list[Victims]:
        return [({_key(0): needed}, "ruthless")]


@pytest.mark.parametrize(("policy", "complaint"), [(Inventive, "not cached"), (Ruthless, "pinned")])
def test_a_policy_that_breaks_its_contract_is_caught(policy: type[LRU], complaint: str) -> None:
    ledger = Ledger(policy(on_arrival=True), 10, Clock())
    ledger.ingest(_key(0), 10)
    ledger.pin(_key(0))
    with pytest.raises(PolicyDefect, match=complaint):
        ledger.ingest(_key(1), 10)
