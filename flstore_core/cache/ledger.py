"""Byte-exact accounting of what is cached. It drives a policy and holds it to its contract.

The ledger knows keys and sizes, no values, so that simulator, live shard and shadow caches share it unchanged.
It is not thread-safe; `Cache` adds the lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flstore_core.cache.tally import Tally
from flstore_core.errors import InsufficientCapacity, InvalidParameters
from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Clock, Key, Policy, PolicyDefect, Prefetch, Request, Why

HISTORY = 4096
"""Evictions remembered for `explain`."""

DISCARDED = "discarded"
"""Reason of a removal that the policy did not choose."""


class Outcome(NamedTuple):
    """What became of an object offered to the cache."""

    admitted: bool
    evicted: tuple[Key, ...] = ()


class Access(NamedTuple):
    """What a request found."""

    hit: bool
    missing: tuple[Key, ...]
    prefetches: Sequence[Prefetch]
    """What the policy wants fetched now, after the missing keys."""


class Entry(NamedTuple):
    """One cached object."""

    size: int
    why: Why
    pattern: Pattern
    since: float


class Eviction(NamedTuple):
    """One object that left."""

    at: float
    reason: str


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
        self.eviction_reasons: dict[str, int] = {}
        self._clock = clock
        self._entries: dict[Key, Entry] = {}
        self._pins: dict[Key, int] = {}
        self._unread: set[Key] = set()
        """Prefetched and not asked for yet."""
        self._evicted: dict[Key, Eviction] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def ingest(self, key: Key, size: int) -> Outcome:
        """Offer a newly created object of `size` bytes; the policy decides whether it is cached on arrival."""
        if key in self._entries:
            return Outcome(True)
        self._check_fits(key, size)
        if not self.policy.arrived(key, size):
            return Outcome(False)
        return self._insert(key, size, Why.ARRIVAL, _pattern_of(key))

    def commit(self, job: str, round: int, slice: int = 0) -> Sequence[Prefetch]:  # noqa: A002
        """Close a round whose objects were all ingested; return what the policy wants fetched."""
        return self.policy.committed(job, round, slice)

    def request(self, request: Request) -> Access:
        """Count a request and tell the policy; the caller then fills what is missing, and the prefetches."""
        entries = self._entries
        keys = request.keys
        tally = self.tallies[request.pattern]
        missing = tuple([key for key in keys if key not in entries])
        tally.requests += 1
        tally.hits += not missing
        tally.keys += len(keys)
        tally.key_hits += len(keys) - len(missing)
        tally.bytes_hit += sum([entries[key].size for key in keys if key in entries])
        if self._unread:
            self._mark_read(keys)
        return Access(not missing, missing, self.policy.requested(request, missing))

    def fill(self, key: Key, size: int, why: Why, pattern: Pattern) -> Outcome:
        """Offer an object that was fetched for a request (`DEMAND`) or ahead of one (`PREFETCH`)."""
        if why is Why.DEMAND:
            self.tallies[pattern].bytes_missed += size
        if key in self._entries:
            return Outcome(True)
        self._check_fits(key, size)
        if why is Why.PREFETCH:
            self.tallies[pattern].prefetches += 1
        if not self.policy.admits(key, size, why):
            self.tallies[pattern].prefetches_wasted += why is Why.PREFETCH
            return Outcome(False)
        return self._insert(key, size, why, pattern)

    def discard(self, key: Key) -> bool:
        """Remove a key whatever the policy thinks, such as on erasure; say whether it was cached."""
        if key not in self._entries:
            return False
        self._remove(key, DISCARDED)
        return True

    def discard_job(self, job: str) -> tuple[Key, ...]:
        """Remove all of a deleted job and let the policy forget it; return the keys that were cached."""
        gone = tuple(key for key in self._entries if key.job == job)
        for key in gone:
            self._remove(key, DISCARDED)
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
        if entry := self._entries.get(key):
            return Explanation(True, entry.since, f"{entry.why}; {self.policy.reason(key)}", key in self._pins)
        if eviction := self._evicted.get(key):
            return Explanation(False, eviction.at, f"evicted: {eviction.reason}")
        return Explanation(False, None, "not admitted, or evicted longer ago than is remembered")

    def snapshot(self) -> dict[str, Any]:
        """Return policy, occupancy, counters and reasons as plain JSON values."""
        return {
            "policy": self.policy.name,
            "budget_bytes": self.budget,
            "used_bytes": self.used,
            "objects": len(self._entries),
            "pinned": len(self._pins),
            "overall": self.overall().to_json(),
            **{pattern.value: tally.to_json() for pattern, tally in self.tallies.items()},
            "eviction_reasons": dict(self.eviction_reasons),
        }

    def overall(self) -> Tally:
        """Return the counters of all patterns together."""
        return sum(self.tallies.values(), Tally())

    def _check_fits(self, key: Key, size: int) -> None:
        if size > self.budget:
            raise InsufficientCapacity(
                f"round {key.round} {key.client} of job {key.job!r} has {size} bytes and the cache's whole budget is "
                f"{self.budget}; raise the budget or cut the job into more slices"
            )

    def _insert(self, key: Key, size: int, why: Why, pattern: Pattern) -> Outcome:
        evicted = self._make_room(size) if self.used + size > self.budget else ()
        if self.used + size > self.budget:
            return Outcome(False, evicted)
        self._entries[key] = Entry(size, why, pattern, self._clock())
        self.used += size
        if why is Why.PREFETCH:
            self._unread.add(key)
        self.policy.inserted(key, size)
        return Outcome(True, evicted)

    def _make_room(self, size: int) -> tuple[Key, ...]:
        """Evict until `size` bytes are free or the policy rather keeps the newcomer out."""
        evicted = []
        while self.used + size > self.budget:
            victim = self.policy.victim(self._pins)
            if victim is None:
                break
            if victim.key not in self._entries or victim.key in self._pins:
                held = "pinned" if victim.key in self._pins else "not cached"
                raise PolicyDefect(f"policy {self.policy.name!r} would evict {victim.key}, which is {held}")
            self._remove(victim.key, victim.reason)
            evicted.append(victim.key)
        return tuple(evicted)

    def _remove(self, key: Key, reason: str) -> None:
        entry = self._entries.pop(key)
        self.used -= entry.size
        tally = self.tallies[entry.pattern]
        tally.evictions += 1
        if key in self._unread:
            self._unread.discard(key)
            tally.prefetches_wasted += 1
        self.eviction_reasons[reason] = self.eviction_reasons.get(reason, 0) + 1
        self._remember(key, reason)
        self.policy.removed(key)

    def _remember(self, key: Key, reason: str) -> None:
        self._evicted.pop(key, None)
        self._evicted[key] = Eviction(self._clock(), reason)
        if len(self._evicted) > HISTORY:
            del self._evicted[next(iter(self._evicted))]

    def _mark_read(self, keys: Sequence[Key]) -> None:
        for key in self._unread.intersection(keys):
            self._unread.discard(key)
            self.tallies[self._entries[key].pattern].prefetches_used += 1


def _pattern_of(key: Key) -> Pattern:
    """Return the pattern that a new object is first expected to serve."""
    if key.client == AGGREGATE:
        return Pattern.P1
    return Pattern.P4 if key.client == METADATA else Pattern.P2
