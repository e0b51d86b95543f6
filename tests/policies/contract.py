"""The laws that every policy keeps, as functions of a policy's name: `test_contract` runs them on the registry."""

import gc
import random
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType

from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.cache import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.patterns import Pattern
from flstore_core.policies import Cause, Key, Policy, Request, make_policy
from flstore_core.policies.belady import Belady
from flstore_core.policies.registry import BELADY
from flstore_core.simulator.events import Committed, Created, Requested, Trace
from flstore_core.simulator.replay import TraceClock, replay
from tests.policies.histories import CLIENTS, JOB, traces
from tests.policies.watched import Watched

Law = Callable[[str], None]
Make = Callable[[Trace, int, TraceClock], Policy]


def maker(name: str) -> Make:
    """Return how to make the policy `name` for a trace, a budget and a clock."""
    if name == BELADY:
        return lambda trace, budget, clock: Belady(budget, _future(trace))
    return lambda trace, budget, clock: make_policy(name, budget, clock, random.Random(0))


def stays_within_budget_and_evicts_only_what_is_cached(name: str) -> None:
    @settings(max_examples=25)
    @given(data=st.data())
    def law(data: st.DataObject) -> None:
        trace = data.draw(traces())
        budget = data.draw(st.integers(max(1, *trace.sizes.values()), 150))
        clock = TraceClock()
        watched = Watched(maker(name)(trace, budget, clock), budget)
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
            assert ledger.used == sum(watched.cached.values()) <= budget
            assert len(ledger) == len(watched.cached)
            assert all(ledger.explain(key).cached and ledger.explain(key).why for key in watched.cached)
        ledger.discard_job(JOB)
        assert ledger.used == len(ledger) == 0

    law()


def never_evicts_what_is_pinned(name: str) -> None:
    ledger = _fresh(name, 30)
    pinned = [Key(JOB, 0, client) for client in "abc"]
    for key in pinned:
        ledger.pin(key)
        ledger.fill({key: 10}, Cause.DEMAND, Pattern.P2)
    for number in range(1, 5):
        ledger.ingest(Key(JOB, number, "a"), 10)
        assert not ledger.fill({Key(JOB, number, "b"): 10}, Cause.DEMAND, Pattern.P2).admitted
    assert all(key in ledger for key in pinned)


def evicts_all_that_is_not_pinned_when_even_that_is_too_little(name: str) -> None:
    clock = TraceClock()
    policy = maker(name)(Trace([], 0, {}), 30, clock)
    ledger = Ledger(policy, 30, clock)
    keys = [Key(JOB, 0, client) for client in "abc"]
    for key in keys:
        ledger.fill({key: 10}, Cause.DEMAND, Pattern.P2)
    victims = [key for sizes, _ in policy.evict(1000, {keys[1]}) for key in sizes]
    assert sorted(victims) == [keys[0], keys[2]]


def forgets_a_job_as_if_it_had_never_been(name: str) -> None:
    """What follows another job's life goes as it would have gone without it."""

    @settings(max_examples=8)
    @given(trace=traces())
    def law(trace: Trace) -> None:
        budget = max(1, *trace.sizes.values()) + 40
        clock = TraceClock()
        ledger = Ledger(maker(name)(trace, budget, clock), budget, clock)
        _drive(ledger, trace, clock)
        for key in list(trace.sizes):
            ledger.discard(key)
        ledger.discard_job(JOB)
        other = Key("other", 0, "x")
        assert ledger.fill({other: 1}, Cause.DEMAND, Pattern.P2).admitted
        assert not ledger.commit("other", 0)
        assert (ledger.used, len(ledger)) == (1, 1)

    law()


def remembers_no_key_of_a_forgotten_job(name: str) -> None:
    """Neither as evicted, nor as planned, nor in an index: the job's name may soon belong to another one."""

    @settings(max_examples=8)
    @given(trace=traces(), erased=st.sampled_from(CLIENTS))
    def law(trace: Trace, erased: str) -> None:
        budget = max(1, *trace.sizes.values()) + 40
        clock = TraceClock()
        policy = maker(name)(trace, budget, clock)
        ledger = Ledger(policy, budget, clock)
        _drive(ledger, trace, clock)
        for key in [key for key in trace.sizes if key.client == erased]:
            ledger.discard(key)
        ledger.discard_job(JOB)
        assert not [key for key in _reachable(policy) if isinstance(key, Key)]

    law()


def _reachable(root: object) -> Iterator[object]:
    """Yield what `root` refers to at any depth, apart from code."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if id(value) not in seen and not isinstance(value, type | ModuleType | FunctionType):
            seen.add(id(value))
            yield value
            waiting += gc.get_referents(value)


def decides_the_same_again(name: str) -> None:
    @settings(max_examples=8)
    @given(trace=traces())
    def law(trace: Trace) -> None:
        budget = max(1, *trace.sizes.values()) + 40
        clocks = TraceClock(), TraceClock()
        first, second = (replay(trace, maker(name)(trace, budget, clock), budget, clock) for clock in clocks)
        assert first.snapshot() == second.snapshot()

    law()


def has_the_name_it_is_made_by(name: str) -> None:
    clock = TraceClock()
    assert maker(name)(Trace([], 0, {}), 10, clock).name == name


LAWS: list[Law] = [
    stays_within_budget_and_evicts_only_what_is_cached,
    never_evicts_what_is_pinned,
    evicts_all_that_is_not_pinned_when_even_that_is_too_little,
    forgets_a_job_as_if_it_had_never_been,
    remembers_no_key_of_a_forgotten_job,
    decides_the_same_again,
    has_the_name_it_is_made_by,
]
"""All laws of the contract."""

_ONLINE_LAWS = (
    never_evicts_what_is_pinned,
    evicts_all_that_is_not_pinned_when_even_that_is_too_little,
    forgets_a_job_as_if_it_had_never_been,
    remembers_no_key_of_a_forgotten_job,
)

OFFLINE_LAWS = [law for law in LAWS if law not in _ONLINE_LAWS]
"""Those that hold for a policy which knows the future as well; the others cache or forget what is never requested."""


def _future(trace: Trace) -> list[Request]:
    return [event.request for event in trace.events if isinstance(event, Requested)]


def _fresh(name: str, budget: int) -> Ledger:
    clock = TraceClock()
    return Ledger(maker(name)(Trace([], 0, {}), budget, clock), budget, clock)


def _drive(ledger: Ledger, trace: Trace, clock: TraceClock) -> None:
    shadow = Shadow(ledger, trace.sizes)
    for event in trace.events:
        clock.now = event.t
        if isinstance(event, Created):
            ledger.ingest(event.key, event.size)
        elif isinstance(event, Requested):
            shadow.request(event.request)
        else:
            shadow.commit(event.job, event.round)


def _disturb(data: st.DataObject, ledger: Ledger) -> None:
    """Pin or discard something now and then, as a live shard does."""
    key = Key(JOB, data.draw(st.integers(0, 4)), data.draw(st.sampled_from(CLIENTS)))
    what = data.draw(st.sampled_from(("nothing", "pin", "discard")))
    if what == "pin":
        ledger.pin(key)
    elif what == "discard":
        ledger.discard(key)
