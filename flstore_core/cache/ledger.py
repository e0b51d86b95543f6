"""Byte-exact accounting of what is cached. It drives a policy and holds it to its contract.

The ledger knows keys and sizes but no values, so the simulator, a live shard and shadow caches share it unchanged.

Every event takes the same course: the ledger reports it to the policy, offers what came with it to `Policy.admits`,
works out the bytes that are missing, has `Policy.evict` make room, and checks what the policy named: a victim that is
pinned or not cached raises `PolicyDefect`. The policy decides; only the ledger counts. So no policy can overfill a
cache: newcomers for which it made too little room stay out, the earliest of them first.

Objects that come together form a *batch*, which remembers once for all of them when and why they came and which
counters they belong to.

Example (`tests/cache/test_ledger.py` runs it): a budget of 30 bytes under `lru+arrival`, objects of 10 bytes.

    event                           cached   used   counters of P2
    ingest a, b, c                  a b c    30
    request a, d                    a b c    30     requests 1, keys 2, key_hits 1, bytes_hit 10
    fill d on demand, evicting b    c a d    30     bytes_missed 10, evictions 1
    request a, d                    c a d    30     requests 2, hits 1, keys 4, key_hits 3, bytes_hit 30
    fill e, 40 bytes                refused: InsufficientCapacity, since e exceeds the whole budget

The ledger is not thread-safe; `Cache` adds the lock.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from flstore_core.cache.tally import Tally
from flstore_core.errors import InsufficientCapacity, InvalidParameters
from flstore_core.ids import AGGREGATE, METADATA, STATISTICS
from flstore_core.patterns import Pattern
from flstore_core.policies.base import (
    Cause,
    Key,
    Policy,
    PolicyDefect,
    Prefetch,
    Request,
    Sizes,
    TimeSource,
    last_that_fit,
)

HISTORY = 2048
"""Evictions remembered for `explain`, each of one or more objects."""

_FIRST_PATTERN: Mapping[str, Pattern] = {AGGREGATE: Pattern.P1, METADATA: Pattern.P4, STATISTICS: Pattern.P4}
"""By reserved client name, the pattern that a new object is first expected to serve; a client's update serves P2."""

DISCARDED = "discarded"
"""Reason for a removal that the policy did not choose: of an object that was erased, deleted or replaced."""


class Outcome(NamedTuple):
    """What became of objects offered to the cache."""

    admitted: Collection[Key] = ()
    """Those that are cached now, because of this offer or from before."""
    evicted: Sequence[Key] = ()


class Access(NamedTuple):
    """Which objects of a request are cached."""

    hit: bool
    missing: tuple[Key, ...]
    prefetches: Sequence[Prefetch]
    """What the policy wants fetched now, after the missing keys."""


class _Batch:
    """Objects that came together."""

    __slots__ = ("cause", "since", "tally", "unread")

    def __init__(self, cause: Cause, tally: Tally, since: float, unread: set[Key]) -> None:
        self.cause = cause
        self.tally = tally
        """Counters of the pattern that they came for."""
        self.since = since
        """Second at which they were cached."""
        self.unread = unread
        """Those that were prefetched and that no request has read yet."""


_ARRIVAL, _DEMAND, _PREFETCH = Cause.ARRIVAL, Cause.DEMAND, Cause.PREFETCH
"""Looked up once: reading a member of an enumeration takes longer than comparing it."""
_P2 = Pattern.P2
_REFUSED = Outcome()
_NONE_UNREAD: set[Key] = set()
"""Shared by all batches that were not prefetched; it stays empty."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a key is cached, or why it is not."""

    cached: bool
    since: float | None
    """Second of the ledger's clock at which it was cached, or at which it left; None if that is not remembered."""
    why: str
    pinned: bool = False


class Ledger:
    """Keys and sizes under a byte budget, and counters by access pattern.

    Raises:
        InvalidParameters: for a budget that is not positive.
        InsufficientCapacity: for an object larger than the whole budget.
        PolicyDefect: when the policy breaks its contract.
    """

    def __init__(self, policy: Policy, budget: int, clock: TimeSource) -> None:
        if budget <= 0:
            raise InvalidParameters(f"the cache's budget is {budget} bytes; use at least the size of one object")
        self.policy = policy
        self.budget = budget
        self.used = 0
        self.tallies = {pattern: Tally() for pattern in Pattern}
        self.eviction_reasons: defaultdict[str, int] = defaultdict(int)
        self.clock = clock
        self._cached: dict[Key, tuple[int, _Batch]] = {}
        """The bytes of each cached object and the batch that it came with."""
        self._pins: dict[Key, int] = {}
        self._evicted: deque[tuple[Collection[Key], float, str]] = deque(maxlen=HISTORY)
        """The latest removals: keys, second and reason; the oldest first."""

    def __contains__(self, key: Key) -> bool:
        return key in self._cached

    def __len__(self) -> int:
        return len(self._cached)

    def ingest(self, key: Key, size: int) -> Outcome:
        """Offer a newly created object of `size` bytes; the policy decides whether it is cached on arrival."""
        if key in self._cached:
            return Outcome((key,))
        if size > self.budget:
            raise self._too_large(key, size)
        if not self.policy.arrived(key, size):
            return _REFUSED
        return self._insert({key: size}, _ARRIVAL, _FIRST_PATTERN.get(key.client, _P2))

    def commit(self, job: str, round: int, slice: int = 0) -> Sequence[Prefetch]:  # noqa: A002
        """Report that a round is complete; return what the policy wants fetched."""
        return self.policy.committed(job, round, slice)

    def request(self, request: Request) -> Access:
        """Count a request and report it to the policy; the caller then fills what is missing, and the prefetches."""
        keys = request.keys
        cached, missing, nbytes = self._cached, [], 0
        for key in keys:
            entry = cached.get(key)
            if entry is None:
                missing.append(key)
            else:
                size, batch = entry
                nbytes += size
                if batch.unread and key in batch.unread:
                    batch.unread.remove(key)
                    batch.tally.prefetches_used += 1
        tally = self.tallies[request.pattern]
        tally.requests += 1
        tally.hits += not missing
        tally.keys += len(keys)
        tally.key_hits += len(keys) - len(missing)
        tally.bytes_hit += nbytes
        return Access(not missing, tuple(missing), self.policy.requested(request, missing))

    def fill(self, sizes: Sizes, cause: Cause, pattern: Pattern) -> Outcome:
        """Offer objects that were fetched together, for a request (`DEMAND`) or ahead of one (`PREFETCH`)."""
        cached = self._cached
        offered = sizes
        if not cached.keys().isdisjoint(sizes):
            offered = {key: size for key, size in sizes.items() if key not in cached}
        if sum(sizes.values()) > self.budget and max(sizes.values()) > self.budget:  # the sum is quicker to work out
            raise self._too_large(*max(sizes.items(), key=itemgetter(1)))
        outcome = self._insert(self.policy.admits(offered, cause), cause, pattern) if offered else _REFUSED
        tally = self.tallies[pattern]
        if cause is _DEMAND:
            tally.bytes_missed += sum(sizes.values())
        else:
            tally.prefetches += len(offered)
            tally.prefetches_wasted += len(offered) - len(outcome.admitted)
        if len(offered) == len(sizes):
            return outcome
        return Outcome([key for key in sizes if key in cached], outcome.evicted)

    def discard(self, key: Key) -> bool:
        """Remove a key without asking the policy, as an erasure does; return whether it was cached."""
        if key not in self._cached:
            return False
        self._remove((key,), DISCARDED, self.clock())
        self.policy.discarded(key)
        return True

    def discard_job(self, job: str) -> tuple[Key, ...]:
        """Remove all of a deleted job and let the policy forget it; return the keys that were cached."""
        discarded = tuple(key for key in self._cached if key.job == job)
        for key in discarded:
            self.discard(key)
        self.policy.forget(job)
        return discarded

    def pin(self, key: Key) -> None:
        """Keep `key` from eviction until as many `unpin` calls; it need not be cached yet."""
        self._pins[key] = self._pins.get(key, 0) + 1

    def unpin(self, key: Key) -> None:
        """Undo one `pin`; raises `KeyError` if there is none."""
        count = self._pins[key] - 1
        if count:
            self._pins[key] = count
        else:
            del self._pins[key]

    def explain(self, key: Key) -> Explanation:
        """Return since when and why `key` is cached, or when and why it left, as far as that is remembered."""
        if entry := self._cached.get(key):
            batch = entry[1]
            return Explanation(True, batch.since, f"{batch.cause}; {self.policy.reason(key)}", key in self._pins)
        for evicted, at, reason in reversed(self._evicted):
            if key in evicted:
                why = "discarded: erased, deleted or replaced" if reason == DISCARDED else f"evicted: {reason}"
                return Explanation(False, at, why)
        return Explanation(False, None, "never cached, or evicted longer ago than is remembered")

    def snapshot(self) -> dict[str, Any]:
        """Return policy, occupancy, counters and reasons as plain JSON values."""
        return {
            "policy": self.policy.name,
            "budget_bytes": self.budget,
            "used_bytes": self.used,
            "objects": len(self._cached),
            "pinned": len(self._pins),
            "overall": self.overall().to_json(),
            **{pattern.value: tally.to_json() for pattern, tally in self.tallies.items()},
            "eviction_reasons": dict(self.eviction_reasons),
        }

    def overall(self) -> Tally:
        """Return the counters of all patterns together."""
        return sum(self.tallies.values(), Tally())

    def _too_large(self, key: Key, size: int) -> InsufficientCapacity:
        return InsufficientCapacity(
            f"round {key.round} {key.client} of job {key.job!r} has {size} bytes and the cache's whole budget is "
            f"{self.budget}; raise it (FLSTORE_CACHE_BYTES) or cut the job into more slices"
        )

    def _insert(self, sizes: Sizes, cause: Cause, pattern: Pattern) -> Outcome:
        """Cache objects together, as many as fit once the policy has evicted what it chose to."""
        now = self.clock()
        evicted: Sequence[Key] = ()
        size = sum(sizes.values())
        needed = self.used + size - self.budget
        if needed > 0:
            evicted = self._make_room(needed, now)
            if self.used + size > self.budget:
                sizes = last_that_fit(sizes, self.budget - self.used)
                size = sum(sizes.values())
        self.used += size
        batch = _Batch(cause, self.tallies[pattern], now, set(sizes) if cause is _PREFETCH else _NONE_UNREAD)
        cached = self._cached
        for key, nbytes in sizes.items():
            cached[key] = (nbytes, batch)
        self.policy.inserted(sizes, cause)
        return Outcome(sizes.keys(), evicted)

    def _make_room(self, needed: int, now: float) -> Sequence[Key]:
        """Remove what the policy evicts for `needed` bytes; return it."""
        evicted: list[Key] = []
        pins = self._pins
        for victims, reason in self.policy.evict(needed, pins):
            if pins and (pinned := pins.keys() & victims.keys()):
                raise self._defect(pinned.pop(), "pinned")
            if victims:
                self._remove(victims, reason, now)
                evicted += victims
        return evicted

    def _defect(self, key: Key, state: str) -> PolicyDefect:
        return PolicyDefect(f"policy {self.policy.name!r} evicted {key}, which is {state}")

    def _remove(self, keys: Collection[Key], reason: str, now: float) -> None:
        """Strike cached keys from the accounts."""
        cached = self._cached
        freed = 0
        for key in keys:
            entry = cached.pop(key, None)
            if entry is None:
                raise self._defect(key, "not cached")
            size, batch = entry
            freed += size
            batch.tally.evictions += 1
            if batch.unread and key in batch.unread:
                batch.unread.remove(key)
                batch.tally.prefetches_wasted += 1
        self.used -= freed
        self.eviction_reasons[reason] += len(keys)
        self._evicted.append((keys, now, reason))
