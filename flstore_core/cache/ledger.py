"""Byte-exact accounting of what is cached. It drives a policy and holds it to its contract.

The ledger knows keys and sizes, no values, so that simulator, live shard and shadow caches share it unchanged.
It is not thread-safe; `Cache` adds the lock.
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
from flstore_core.policies.base import Clock, Key, Policy, PolicyDefect, Prefetch, Request, Sizes, Why, last_that_fit

HISTORY = 2048
"""Evictions remembered for `explain`, each of one or more objects."""

_ARRIVES_FOR: Mapping[str, Pattern] = {AGGREGATE: Pattern.P1, METADATA: Pattern.P4, STATISTICS: Pattern.P4}
"""Pattern that a new object is first expected to serve; P2 for a client's update."""

DISCARDED = "discarded"
"""Reason of a removal that the policy did not choose."""


class Outcome(NamedTuple):
    """What became of objects offered to the cache."""

    admitted: Collection[Key] = ()
    """Those that are cached now, for this offer or from before."""
    evicted: Sequence[Key] = ()


class Access(NamedTuple):
    """What a request found."""

    hit: bool
    missing: tuple[Key, ...]
    prefetches: Sequence[Prefetch]
    """What the policy wants fetched now, after the missing keys."""


class _Batch:
    """Objects that came together."""

    __slots__ = ("since", "tally", "unread", "why")

    def __init__(self, why: Why, tally: Tally, since: float, unread: set[Key]) -> None:
        self.why = why
        self.tally = tally
        """Counters of their pattern."""
        self.since = since
        self.unread = unread
        """Prefetched and not asked for yet."""


_ARRIVAL, _DEMAND, _PREFETCH = Why.ARRIVAL, Why.DEMAND, Why.PREFETCH
"""Looked up once: naming a member through its enumeration takes longer than the comparison."""
_P2 = Pattern.P2
_REFUSED = Outcome()
_NOTHING: set[Key] = set()
"""Stays empty."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a key is cached or is not."""

    cached: bool
    since: float | None
    """Seconds of the ledger's clock since when it is cached, or when it left; None where it is not remembered."""
    why: str
    pinned: bool = False


class Ledger:
    """Keys and sizes under a byte budget, and the counters of how well they served.

    Raises `InvalidParameters` for a budget that is not positive, `InsufficientCapacity` for an object larger than
    the whole budget and `PolicyDefect` when the policy breaks its contract.
    """

    def __init__(self, policy: Policy, budget: int, clock: Clock) -> None:
        if budget <= 0:
            raise InvalidParameters(f"the cache's budget is {budget} bytes; use at least the size of one object")
        self.policy = policy
        self.budget = budget
        self.used = 0
        self.tallies = {pattern: Tally() for pattern in Pattern}
        self.eviction_reasons: defaultdict[str, int] = defaultdict(int)
        self._clock = clock
        self._held: dict[Key, tuple[int, _Batch]] = {}
        """What is cached: its bytes and what it came with."""
        self._pins: dict[Key, int] = {}
        self._evicted: deque[tuple[Collection[Key], float, str]] = deque(maxlen=HISTORY)
        """What left lately, when and why, oldest first."""

    def __contains__(self, key: Key) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    def ingest(self, key: Key, size: int) -> Outcome:
        """Offer a newly created object of `size` bytes; the policy decides whether it is cached on arrival."""
        if key in self._held:
            return Outcome((key,))
        if size > self.budget:
            raise self._too_large(key, size)
        if not self.policy.arrived(key, size):
            return _REFUSED
        return self._insert({key: size}, _ARRIVAL, _ARRIVES_FOR.get(key.client, _P2))

    def commit(self, job: str, round: int, slice: int = 0) -> Sequence[Prefetch]:  # noqa: A002
        """Close a round whose objects were all ingested; return what the policy wants fetched."""
        return self.policy.committed(job, round, slice)

    def request(self, request: Request) -> Access:
        """Count a request and tell the policy; the caller then fills what is missing, and the prefetches."""
        keys = request.keys
        held, missing, nbytes = self._held, [], 0
        for key in keys:
            entry = held.get(key)
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

    def fill(self, sizes: Sizes, why: Why, pattern: Pattern) -> Outcome:
        """Offer objects that were fetched together for a request (`DEMAND`) or ahead of one (`PREFETCH`)."""
        held = self._held
        offered = sizes
        if not held.keys().isdisjoint(sizes):
            offered = {key: size for key, size in sizes.items() if key not in held}
        if sum(sizes.values()) > self.budget and max(sizes.values()) > self.budget:  # the sum is quicker
            raise self._too_large(*max(sizes.items(), key=itemgetter(1)))
        outcome = self._insert(self.policy.admits(offered, why), why, pattern) if offered else _REFUSED
        tally = self.tallies[pattern]
        if why is _DEMAND:
            tally.bytes_missed += sum(sizes.values())
        else:
            tally.prefetches += len(offered)
            tally.prefetches_wasted += len(offered) - len(outcome.admitted)
        if len(offered) == len(sizes):
            return outcome
        return Outcome([key for key in sizes if key in held], outcome.evicted)

    def discard(self, key: Key) -> bool:
        """Remove a key whatever the policy thinks, such as on erasure; say whether it was cached."""
        if key not in self._held:
            return False
        self._remove((key,), DISCARDED, self._clock())
        self.policy.discarded(key)
        return True

    def discard_job(self, job: str) -> tuple[Key, ...]:
        """Remove all of a deleted job and let the policy forget it; return the keys that were cached."""
        gone = tuple(key for key in self._held if key.job == job)
        for key in gone:
            self.discard(key)
        self.policy.forget(job)
        return gone

    def pin(self, key: Key) -> None:
        """Keep `key` from eviction until as many `unpin` calls; it need not be cached yet."""
        self._pins[key] = self._pins.get(key, 0) + 1

    def unpin(self, key: Key) -> None:
        """Undo one `pin`."""
        count = self._pins[key] - 1
        if count:
            self._pins[key] = count
        else:
            del self._pins[key]

    def explain(self, key: Key) -> Explanation:
        """Say since when and why `key` is cached, or when and why it left, as far as that is remembered."""
        if entry := self._held.get(key):
            batch = entry[1]
            return Explanation(True, batch.since, f"{batch.why}; {self.policy.reason(key)}", key in self._pins)
        for evicted, at, reason in reversed(self._evicted):
            if key in evicted:
                return Explanation(False, at, f"evicted: {reason}")
        return Explanation(False, None, "not admitted, or evicted longer ago than is remembered")

    def snapshot(self) -> dict[str, Any]:
        """Return policy, occupancy, counters and reasons as plain JSON values."""
        return {
            "policy": self.policy.name,
            "budget_bytes": self.budget,
            "used_bytes": self.used,
            "objects": len(self._held),
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
            f"{self.budget}; raise the budget or cut the job into more slices"
        )

    def _insert(self, sizes: Sizes, why: Why, pattern: Pattern) -> Outcome:
        """Cache objects together, as many as there is room for once the policy has evicted what it would."""
        now = self._clock()
        evicted: Sequence[Key] = ()
        size = sum(sizes.values())
        needed = self.used + size - self.budget
        if needed > 0:
            evicted = self._make_room(needed, now)
            if self.used + size > self.budget:
                sizes = last_that_fit(sizes, self.budget - self.used)
                size = sum(sizes.values())
        self.used += size
        batch = _Batch(why, self.tallies[pattern], now, set(sizes) if why is _PREFETCH else _NOTHING)
        held = self._held
        for key, nbytes in sizes.items():
            held[key] = (nbytes, batch)
        self.policy.inserted(sizes, why)
        return Outcome(sizes.keys(), evicted)

    def _make_room(self, needed: int, now: float) -> Sequence[Key]:
        """Evict what the policy names."""
        evicted: list[Key] = []
        pins = self._pins
        for victims, reason in self.policy.evict(needed, pins):
            if pins and (pinned := pins.keys() & victims.keys()):
                raise self._defect(pinned.pop(), "pinned")
            if victims:
                self._remove(victims, reason, now)
                evicted += victims
        return evicted

    def _defect(self, key: Key, what: str) -> PolicyDefect:
        return PolicyDefect(f"policy {self.policy.name!r} would evict {key}, which is {what}")

    def _remove(self, keys: Collection[Key], reason: str, now: float) -> None:
        """Take cached keys out of the books."""
        held = self._held
        freed = 0
        for key in keys:
            entry = held.pop(key, None)
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
