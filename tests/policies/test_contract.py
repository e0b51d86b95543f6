"""Laws that every policy keeps, whatever happens."""

import random
from collections.abc import Container

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.cache import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.errors import NotFound
from flstore_core.patterns import Pattern
from flstore_core.policies import Key, Policy, make_policy, policy_names
from flstore_core.policies.base import Cause, Prefetch, Request, Sizes, Victims
from flstore_core.policies.belady import Belady
from flstore_core.simulator.events import Committed, Created, Requested, Trace
from flstore_core.simulator.replay import TraceClock
from tests.policies.histories import CLIENTS, JOB, traces


class Watched(Policy):
    """Passes everything on to a policy, and checks what it answers against its own book of what is cached."""

    def __init__(self, inner: Policy, budget: int) -> None:
        self.name = inner.name
        self._inner = inner
        self._budget = budget
        self.held: dict[Key, int] = {}

    def arrived(self, key: Key, size: int) -> bool:
        return self._inner.arrived(key, size)

    def committed(self, job: str, round: int, slice: int) -> list[Prefetch]:  # noqa: A002
        return list(self._inner.committed(job, round, slice))

    def requested(self, request: Request, missing: tuple[Key, ...]) -> list[Prefetch]:  # type: ignore[override]
        assert set(missing) == set(request.keys) - self.held.keys()
        return list(self._inner.requested(request, missing))

    def admits(self, sizes: Sizes, cause: Cause) -> Sizes:
        assert self.held.keys().isdisjoint(sizes)
        admitted = self._inner.admits(sizes, cause)
        assert admitted.items() <= sizes.items()
        return admitted

    def evict(self, needed: int, pinned: Container[Key]) -> list[Victims]:
        assert needed > 0
        evicted = list(self._inner.evict(needed, pinned))
        for victims, reason in evicted:
            assert reason
            for key in victims:
                assert key not in pinned
                assert victims[key] == self.held.pop(key)
        return evicted

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        assert self.held.keys().isdisjoint(sizes)
        self.held.update(sizes)
        assert sum(self.held.values()) <= self._budget
        self._inner.inserted(sizes, cause)

    def discarded(self, key: Key) -> None:
        del self.held[key]
        self._inner.discarded(key)

    def forget(self, job: str) -> None:
        assert not [key for key in self.held if key.job == job]
        self._inner.forget(job)

    def reason(self, key: Key) -> str:
        return self._inner.reason(key)


def _policy(name: str, trace: Trace, budget: int, clock: TraceClock) -> Policy:
    if name == "belady":
        return Belady(budget, [event.request for event in trace.events if isinstance(event, Requested)])
    return make_policy(name, budget, clock, random.Random(0))


@pytest.mark.parametrize("name", [*policy_names(), "belady"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_policy_stays_within_budget_and_evicts_only_what_is_cached(name: str, data: st.DataObject) -> None:
    trace = data.draw(traces())
    budget = data.draw(st.integers(max(1, *trace.sizes.values()), 150))
    clock = TraceClock()
    watched = Watched(_policy(name, trace, budget, clock), budget)
    ledger = Ledger(watched, budget, clock)
    shadow = Shadow(ledger, trace.sizes)
    for event in trace.events:
        clock.now = event.t
        if isinstance(event, Created):
            ledger.ingest(event.key, event.size)
        elif isinstance(event, Committed):
            shadow.commit(event.job, event.round)
        else:
            _disturb(data, ledger)
            shadow.request(event.request)
        assert ledger.used == sum(watched.held.values()) <= budget
        assert len(ledger) == len(watched.held)
        assert all(ledger.explain(key).cached and ledger.explain(key).why for key in watched.held)
    ledger.discard_job(JOB)
    assert ledger.used == len(ledger) == 0


def _disturb(data: st.DataObject, ledger: Ledger) -> None:
    """Pin or discard something now and then, as a live shard does."""
    key = Key(JOB, data.draw(st.integers(0, 4)), data.draw(st.sampled_from(CLIENTS)))
    what = data.draw(st.sampled_from(("nothing", "pin", "discard")))
    if what == "pin":
        ledger.pin(key)
    elif what == "discard":
        ledger.discard(key)


@pytest.mark.parametrize("name", policy_names())
def test_pinned_objects_are_never_evicted(name: str) -> None:
    ledger = Ledger(make_policy(name, 30, lambda: 0.0, random.Random(0)), 30, lambda: 0.0)
    pinned = [Key(JOB, 0, client) for client in "abc"]
    for key in pinned:
        ledger.pin(key)
        ledger.fill({key: 10}, Cause.DEMAND, Pattern.P2)
    for number in range(1, 5):
        ledger.ingest(Key(JOB, number, "a"), 10)
        assert not ledger.fill({Key(JOB, number, "b"): 10}, Cause.DEMAND, Pattern.P2).admitted
    assert all(key in ledger for key in pinned)


def test_unknown_policy_is_named_with_its_nearest_neighbours() -> None:
    with pytest.raises(NotFound, match="'tailord' does not exist; nearest: tailored"):
        make_policy("tailord", 1, lambda: 0.0, random.Random(0))
