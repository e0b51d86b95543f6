"""Byte-exact accounting of what is cached. It drives a policy and holds it to its contract.

The ledger knows keys and sizes, no values, so that simulator, live shard and shadow caches share it unchanged.
It is not thread-safe; `Cache` adds the lock.
"""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flstore_core.cache.tally import Tally
from flstore_core.errors import InsufficientCapacity, InvalidParameters
from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Clock, Key, Policy, PolicyDefect, Prefetch, Request, Why

HISTORY = 4096
"""Evictions remembered for `explain`."""

_ARRIVES_FOR: Mapping[str, Pattern] = {AGGREGATE: Pattern.P1, METADATA: Pattern.P4}
"""Pattern that a new object is first expected to serve; P2 for a client's update."""

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


_Entry = tuple[int, Why, Pattern, float]
"""Of a cached object: its bytes, what brought it, the pattern it is counted with, when it came. Plain, for speed."""

_ARRIVAL, _DEMAND, _PREFETCH = Why.ARRIVAL, Why.DEMAND, Why.PREFETCH
"""Looked up once: naming a member through its enumeration takes longer than the comparison."""
_P2 = Pattern.P2

_ADMITTED = Outcome(True)
_REFUSED = Outcome(False)


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
        self._victim, self._inserted, self._removed = policy.victim, policy.inserted, policy.removed
        self._entries: dict[Key, _Entry] = {}
        self._pins: dict[Key, int] = {}
        self._unread: set[Key] = set()
        """Prefetched and not asked for yet."""
        self._evicted: deque[tuple[Key, float, str]] = deque(maxlen=HISTORY)
        """What left lately, when and why, oldest first."""

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def ingest(self, key: Key, size: int) -> Outcome:
        """Offer a newly created object of `size` bytes; the policy decides whether it is cached on arrival."""
        if key in self._entries:
            return _ADMITTED
        if size > self.budget:
            raise self._too_large(key, size)
        if not self.policy.arrived(key, size):
            return _REFUSED
        return self._insert(key, size, _ARRIVAL, _ARRIVES_FOR.get(key.client, _P2))

    def commit(self, job: str, round: int, slice: int = 0) -> Sequence[Prefetch]:  # noqa: A002
        """Close a round whose objects were all ingested; return what the policy wants fetched."""
        return self.policy.committed(job, round, slice)

    def request(self, request: Request) -> Access:
        """Count a request and tell the policy; the caller then fills what is missing, and the prefetches."""
        keys = request.keys
        present = [entry[0] for entry in map(self._entries.get, keys) if entry]
        missing = () if len(present) == len(keys) else tuple([key for key in keys if key not in self._entries])
        tally = self.tallies[request.pattern]
        tally.requests += 1
        tally.hits += not missing
        tally.keys += len(keys)
        tally.key_hits += len(present)
        tally.bytes_hit += sum(present)
        if self._unread:
            self._mark_read(keys)
        return Access(not missing, missing, self.policy.requested(request, missing))

    def fill(self, key: Key, size: int, why: Why, pattern: Pattern) -> Outcome:
        """Offer an object that was fetched for a request (`DEMAND`) or ahead of one (`PREFETCH`)."""
        if why is _DEMAND:
            self.tallies[pattern].bytes_missed += size
        if key in self._entries:
            return _ADMITTED
        if size > self.budget:
            raise self._too_large(key, size)
        if why is _PREFETCH:
            self.tallies[pattern].prefetches += 1
        if not self.policy.admits(key, size, why):
            self.tallies[pattern].prefetches_wasted += why is _PREFETCH
            return _REFUSED
        return self._insert(key, size, why, pattern)

    def discard(self, key: Key) -> bool:
        """Remove a key whatever the policy thinks, such as on erasure; say whether it was cached."""
        return self._remove(key, DISCARDED, self._clock())

    def discard_job(self, job: str) -> tuple[Key, ...]:
        """Remove all of a deleted job and let the policy forget it; return the keys that were cached."""
        gone = tuple(key for key in self._entries if key.job == job)
        for key in gone:
            self._remove(key, DISCARDED, self._clock())
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
            _, why, _, since = entry
            return Explanation(True, since, f"{why}; {self.policy.reason(key)}", key in self._pins)
        for evicted, at, reason in reversed(self._evicted):
            if evicted == key:
                return Explanation(False, at, f"evicted: {reason}")
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

    def _too_large(self, key: Key, size: int) -> InsufficientCapacity:
        return InsufficientCapacity(
            f"round {key.round} {key.client} of job {key.job!r} has {size} bytes and the cache's whole budget is "
            f"{self.budget}; raise the budget or cut the job into more slices"
        )

    def _insert(self, key: Key, size: int, why: Why, pattern: Pattern) -> Outcome:
        outcome = _ADMITTED
        now = self._clock()
        if self.used + size > self.budget:
            outcome = self._make_room(size, now)
            if not outcome.admitted:
                return outcome
        self._entries[key] = (size, why, pattern, now)
        self.used += size
        if why is _PREFETCH:
            self._unread.add(key)
        self._inserted(key, size)
        return outcome

    def _make_room(self, size: int, now: float) -> Outcome:
        """Evict until `size` bytes are free or the policy rather keeps the newcomer out."""
        evicted: list[Key] = []
        most = self.budget - size
        pins, name_victim = self._pins, self._victim
        while self.used > most:
            victim = name_victim(pins)
            if victim is None:
                return Outcome(False, tuple(evicted))
            key, reason = victim
            if (pins and key in pins) or not self._remove(key, reason, now):
                raise self._defect(key)
            evicted.append(key)
        return Outcome(True, tuple(evicted))

    def _defect(self, key: Key) -> PolicyDefect:
        held = "pinned" if key in self._pins else "not cached"
        return PolicyDefect(f"policy {self.policy.name!r} would evict {key}, which is {held}")

    def _remove(self, key: Key, reason: str, now: float) -> bool:
        """Remove a key; say whether it was cached."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        size, why, pattern, _ = entry
        self.used -= size
        tally = self.tallies[pattern]
        tally.evictions += 1
        if why is _PREFETCH and key in self._unread:
            self._unread.discard(key)
            tally.prefetches_wasted += 1
        self.eviction_reasons[reason] += 1
        self._evicted.append((key, now, reason))
        self._removed(key)
        return True

    def _mark_read(self, keys: Sequence[Key]) -> None:
        for key in self._unread.intersection(keys):
            self._unread.discard(key)
            _, _, pattern, _ = self._entries[key]
            self.tallies[pattern].prefetches_used += 1
