"""A trace is replayed event by event at its own times, and nothing of it is left behind."""

import gc
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings

from flstore_core.errors import InsufficientCapacity
from flstore_core.patterns import Pattern
from flstore_core.policies import Cause, Key, Prefetch, Request, make_policy
from flstore_core.policies.base import Sizes
from flstore_core.policies.classic.lru import LRU
from flstore_core.simulator.events import Committed, Created, Event, Requested, Trace
from flstore_core.simulator.replay import TraceClock, replay
from tests.policies.histories import traces

A, B = Key("j", 0, "a"), Key("j", 0, "b")


def trace(*events: Event) -> Trace:
    return Trace(events, len(events), {event.key: event.size for event in events if isinstance(event, Created)})


def ask(t: float, *keys: Key) -> Requested:
    return Requested(t, Request("j", "w", Pattern.P2, keys))


class Diary(LRU):
    """Writes down every event with its time, and prefetches B at each commit."""

    def __init__(self, clock: TraceClock) -> None:
        super().__init__(on_arrival=False)
        self._clock = clock
        self.entries: list[tuple[float, str]] = []

    def arrived(self, key: Key, size: int) -> bool:
        self.entries.append((self._clock(), f"arrived {key.client} {size}"))
        return False

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        self.entries.append((self._clock(), f"committed {round}"))
        return [({B: 20}, Pattern.P3)]

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        self.entries.append((self._clock(), f"requested, missing {[key.client for key in missing]}"))
        return super().requested(request, missing)

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        self.entries.append((self._clock(), f"cached {[key.client for key in sizes]} by {cause}"))
        super().inserted(sizes, cause)


def test_events_reach_the_policy_in_order_and_at_their_times() -> None:
    clock = TraceClock()
    diary = Diary(clock)
    events = (Created(1.0, A, 10), Created(2.0, B, 20), Committed(3.0, "j", 0), ask(4.0, A, B), ask(5.0, A))
    ledger = replay(trace(*events), diary, 100, clock)
    assert diary.entries == [
        (1.0, "arrived a 10"),
        (2.0, "arrived b 20"),
        (3.0, "committed 0"),
        (3.0, "cached ['b'] by prefetch"),
        (4.0, "requested, missing ['a']"),
        (4.0, "cached ['a'] by demand"),
        (5.0, "requested, missing []"),
    ]
    assert ledger.tallies[Pattern.P3].prefetches_used == 1
    assert (ledger.tallies[Pattern.P2].hits, ledger.tallies[Pattern.P2].bytes_missed) == (1, 10)


def test_an_object_larger_than_the_budget_ends_the_replay() -> None:
    clock = TraceClock()
    with pytest.raises(InsufficientCapacity, match="10 bytes and the cache's whole budget is 9"):
        replay(trace(Created(0.0, A, 10)), make_policy("lru", 9, clock, random.Random(0)), 9, clock)
    assert gc.get_freeze_count() == 0


@settings(max_examples=20)
@given(trace=traces())
def test_replaying_leaves_the_trace_and_the_collector_as_they_were(trace: Trace) -> None:
    before = list(trace.events)
    clock = TraceClock()
    budget = max(1, *trace.sizes.values())
    ledger = replay(trace, make_policy("tailored", budget, clock, random.Random(0)), budget, clock)
    assert list(trace.events) == before
    assert gc.get_freeze_count() == 0
    assert ledger.overall().requests == sum(isinstance(event, Requested) for event in before)
