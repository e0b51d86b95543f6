"""The offline reference is never beaten, and is the optimum where that can be computed."""

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.patterns import Pattern
from flstore_core.policies import Key, Request
from flstore_core.policies.belady import Belady
from flstore_core.policies.registry import names_without_prefetch
from flstore_core.simulator import simulate
from flstore_core.simulator.events import Created, Requested, Trace
from flstore_core.simulator.offline import farthest_next_use, replay_belady
from flstore_core.simulator.replay import TraceClock, replay
from tests.policies.histories import JOB, traces


@settings(max_examples=60)
@given(trace=traces(), spare=st.integers(0, 60))
def test_nothing_without_prefetching_beats_belady(trace: Trace, spare: int) -> None:
    budget = max(1, *trace.sizes.values()) + spare
    belady, *others = simulate(trace, ["belady", *names_without_prefetch()], budget)
    for other in others:
        assert belady.overall.prefetches == other.overall.prefetches == 0
        assert belady.overall.hits >= other.overall.hits


@settings(max_examples=60)
@given(trace=traces(equal_sizes=True, single_keys=True), slots=st.integers(1, 4))
def test_farthest_next_use_alone_is_the_optimum_for_equal_sizes_and_single_keys(trace: Trace, slots: int) -> None:
    future = [event.request for event in trace.events if isinstance(event, Requested)]
    ledger = replay(trace, Belady(slots * 10, future), slots * 10, TraceClock())
    assert ledger.overall().hits == _most_hits(trace, slots)


def test_a_request_that_lost_a_key_no_longer_holds_the_others() -> None:
    # Room for two. Keeping half of (a, b) until it is requested earns nothing; keeping c does.
    a, b, c = (Key(JOB, 0, name) for name in "abc")
    asked = [Request(JOB, "w", Pattern.P2, keys) for keys in ((c,), (a, b, c), (c,))]
    trace = Trace(
        [*(Created(0.0, key, 10) for key in (a, b, c)), *(Requested(1.0, request) for request in asked)], 6, {}
    )
    trace.sizes.update({a: 10, b: 10, c: 10})
    ledger = replay(trace, Belady(20, asked), 20, TraceClock())
    assert ledger.overall().hits == 2


def _most_hits(trace: Trace, slots: int) -> int:
    """Return the most hits of any caching without prefetching, by trying every decision."""
    offers = [
        (event.key, False) if isinstance(event, Created) else (event.request.keys[0], True)
        for event in trace.events
        if isinstance(event, Created | Requested)
    ]

    @cache
    def best(at: int, held: frozenset[Key]) -> int:
        if at == len(offers):
            return 0
        key, counts = offers[at]
        if key in held:
            return counts + best(at + 1, held)
        choices = [held, *({key} | held - {other} for other in held)] if len(held) == slots else [held, held | {key}]
        return max(best(at + 1, frozenset(choice)) for choice in choices)

    return best(0, frozenset())


@settings(max_examples=40)
@given(trace=traces(), spare=st.integers(0, 60))
def test_farthest_next_use_stays_within_its_budget_and_never_prefetches(trace: Trace, spare: int) -> None:
    budget = max(1, *trace.sizes.values()) + spare
    for ledger in farthest_next_use(trace, budget):
        assert ledger.used <= budget
        assert ledger.overall().prefetches == 0


def test_the_reference_may_repeat_what_another_policy_decided() -> None:
    """Equal scores apart, it is one of the runs it was chosen from."""
    a, b = Key(JOB, 0, "a"), Key(JOB, 0, "b")
    asked = [Request(JOB, "w", Pattern.P1, (key,)) for key in (a, b, a, b)]
    trace = Trace([Created(0.0, a, 10), Created(0.0, b, 10), *(Requested(1.0, each) for each in asked)], 6, {})
    trace.sizes.update({a: 10, b: 10})
    overall = replay_belady(trace, 20, seed=0).overall()
    assert (overall.hits, overall.key_hits) == (4, 4)
