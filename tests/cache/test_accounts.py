"""The ledger's accounts against a second set of books, over everything that may happen to a cache, in any order."""

import random
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flstore_core.cache import Ledger, Outcome
from flstore_core.cache.tally import Tally
from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies import Cause, Key, Request, make_policy, policy_names
from tests.fakes.clock import Clock

BUDGET = 60
JOBS = ("one", "two")
keys = st.builds(Key, st.sampled_from(JOBS), st.integers(0, 1), st.sampled_from(("a", AGGREGATE, METADATA)), st.just(0))
some_keys = st.lists(keys, min_size=1, max_size=4, unique=True)
sizes = st.integers(0, 25)
patterns = st.sampled_from(list(Pattern))


class Books:
    """What a ledger should have counted, kept object by object."""

    def __init__(self) -> None:
        self.cached: dict[Key, int] = {}
        self.came_for: dict[Key, Pattern] = {}
        self.unread: set[Key] = set()
        self.pins: Counter[Key] = Counter()
        self.tallies = {pattern: Tally() for pattern in Pattern}

    def enter(self, offered: dict[Key, int], outcome: Outcome, pattern: Pattern, cause: Cause) -> None:
        for key in outcome.evicted:
            assert key not in self.pins
            self.leave(key)
        for key in set(outcome.admitted) - self.cached.keys():
            self.cached[key], self.came_for[key] = offered[key], pattern
            if cause is Cause.PREFETCH:
                self.unread.add(key)

    def leave(self, key: Key) -> None:
        del self.cached[key]
        tally = self.tallies[self.came_for.pop(key)]
        tally.evictions += 1
        tally.prefetches_wasted += key in self.unread
        self.unread.discard(key)

    def read(self, request: Request) -> None:
        tally = self.tallies[request.pattern]
        hits = [key for key in request.keys if key in self.cached]
        tally.requests += 1
        tally.hits += len(hits) == len(request.keys)
        tally.keys += len(request.keys)
        tally.key_hits += len(hits)
        tally.bytes_hit += sum(self.cached[key] for key in hits)
        for key in self.unread & set(hits):
            self.tallies[self.came_for[key]].prefetches_used += 1
        self.unread -= set(hits)


class Accounts(RuleBasedStateMachine):
    """Does to a ledger what gateways, shards and simulations do, and what they hardly ever do."""

    def __init__(self) -> None:
        super().__init__()
        self.begin("lru")

    @initialize(name=st.sampled_from(policy_names()))
    def begin(self, name: str) -> None:
        self.clock = Clock()
        self.ledger = Ledger(make_policy(name, BUDGET, self.clock, random.Random(0)), BUDGET, self.clock)
        self.books = Books()

    @rule(seconds=st.sampled_from((0.0, 0.1, 5.0, 100.0)))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(key=keys, size=sizes)
    def ingest(self, key: Key, size: int) -> None:
        outcome = self.ledger.ingest(key, size)
        first_patterns: dict[str, Pattern] = {AGGREGATE: Pattern.P1, METADATA: Pattern.P4}
        pattern = first_patterns.get(key.client, Pattern.P2)
        if key in self.books.cached:
            assert outcome == ((key,), ())
        else:
            self.books.enter({key: size}, outcome, pattern, Cause.ARRIVAL)

    @rule(offered=st.dictionaries(keys, sizes, max_size=4), pattern=patterns)
    def fill_on_demand(self, offered: dict[Key, int], pattern: Pattern) -> None:
        outcome = self.ledger.fill(offered, Cause.DEMAND, pattern)
        self.books.tallies[pattern].bytes_missed += sum(offered.values())
        self.books.enter(offered, outcome, pattern, Cause.DEMAND)

    @rule(offered=st.dictionaries(keys, sizes, max_size=4), pattern=patterns)
    def prefetch(self, offered: dict[Key, int], pattern: Pattern) -> None:
        fresh = offered.keys() - self.books.cached.keys()
        outcome = self.ledger.fill(offered, Cause.PREFETCH, pattern)
        tally = self.books.tallies[pattern]
        tally.prefetches += len(fresh)
        tally.prefetches_wasted += len(fresh - set(outcome.admitted))
        self.books.enter(offered, outcome, pattern, Cause.PREFETCH)

    @rule(asked=some_keys, pattern=patterns)
    def request(self, asked: list[Key], pattern: Pattern) -> None:
        request = Request(asked[0].job, "w", pattern, tuple(key for key in asked if key.job == asked[0].job))
        access = self.ledger.request(request)
        assert access.missing == tuple(key for key in request.keys if key not in self.books.cached)
        assert access.hit == (not access.missing)
        self.books.read(request)

    @rule(key=keys, size=sizes, pattern=patterns)
    def prefetch_what_is_read_next(self, key: Key, size: int, pattern: Pattern) -> None:
        self.prefetch({key: size}, pattern)
        self.request([key], pattern)

    @rule(job=st.sampled_from(JOBS), number=st.integers(0, 1))
    def commit(self, job: str, number: int) -> None:
        for offered, _ in self.ledger.commit(job, number):
            assert offered
            assert not offered.keys() & self.books.cached.keys()

    @rule(key=keys)
    def pin(self, key: Key) -> None:
        self.ledger.pin(key)
        self.books.pins[key] += 1

    @precondition(lambda self: self.books.pins)
    @rule(data=st.data())
    def unpin(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.books.pins)))
        self.ledger.unpin(key)
        self.books.pins -= Counter([key])

    @rule(key=keys)
    def discard(self, key: Key) -> None:
        assert self.ledger.discard(key) == (key in self.books.cached)
        if key in self.books.cached:
            self.books.leave(key)

    @rule(job=st.sampled_from(JOBS))
    def discard_job(self, job: str) -> None:
        gone = self.ledger.discard_job(job)
        assert set(gone) == {key for key in self.books.cached if key.job == job}
        for key in gone:
            self.books.leave(key)

    @invariant()
    def bytes_add_up_and_fit(self) -> None:
        assert self.ledger.used == sum(self.books.cached.values()) <= BUDGET
        assert len(self.ledger) == len(self.books.cached)

    @invariant()
    def counters_agree(self) -> None:
        assert self.ledger.tallies == self.books.tallies
        assert sum(self.ledger.eviction_reasons.values()) == self.ledger.overall().evictions

    @invariant()
    def explanations_agree(self) -> None:
        for key in self.books.cached:
            explanation = self.ledger.explain(key)
            assert explanation.cached
            assert explanation.pinned == (key in self.books.pins)

    @invariant()
    def the_snapshot_agrees(self) -> None:
        snapshot = self.ledger.snapshot()
        assert (snapshot["used_bytes"], snapshot["objects"]) == (self.ledger.used, len(self.ledger))
        assert snapshot["pinned"] == len(self.books.pins)


Accounts.TestCase.settings = settings(max_examples=80, stateful_step_count=25)
TestAccounts = Accounts.TestCase
