"""The offline optimum by farthest next use (Belady, 1966; with bypassing as McFarling, 1989). For the simulator only.

L. A. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966; S.
McFarling, "Program optimization for instruction caches", ASPLOS 1989.

It knows every request to come, is offered each object as it arrives and as it is missed, may leave it out (bypassing),
and never prefetches. Where all objects are equally large and every request names one key, no policy without prefetching
hits more: an arrival is a miss that nobody can avoid, so the fewest misses are the most hits, and farthest next use
with bypassing has the fewest.

Example (`tests/policies/test_belady.py` runs it): room for two objects and the requests a b c a b a. At c, the next use
of a is request 3, that of b is request 4 and c is never used again: c is left out, and the last three requests hit. LRU
hits only the last one: it evicts a for c, b for a and c for b.

Two things make it a heuristic elsewhere. With different sizes, finding the optimum is NP-hard. And a request is a hit
only if all of its keys are cached, so the fewest missed keys are not the fewest missed requests: with `whole` set, a
request that has lost one of its keys is given up, and its other keys are the next to leave.
`flstore_core.simulator.offline` runs both forms and every rival, and reports the best run: an offline policy could make
the same decisions as any of them.
"""

import heapq
from collections.abc import Container, Iterable, Sequence
from math import inf

from flstore_core.policies.base import Cause, Key, Policy, Prefetch, Request, Sizes, Victims


class Belady(Policy):
    """Evicts the object whose next use is farthest; leaves out a newcomer whose own next use is farther still."""

    def __init__(self, budget: int, future: Iterable[Request], whole: bool = True) -> None:
        """`future` is every request to come, in order; `whole` says whether a request that lost a key is given up."""
        self.name = "belady"
        self._budget = budget
        self._requests = list(future)
        self._whole = whole
        self._now = -1
        """Number of the current request."""
        self._uses: dict[Key, list[int]] = {}
        """By key, the numbers of the requests still to come, the next one last."""
        for number in range(len(self._requests) - 1, -1, -1):
            for key in self._requests[number].keys:
                self._uses.setdefault(key, []).append(number)
        self._given_up: set[int] = set()
        """Numbers of requests that cannot hit any more."""
        self._cached: dict[Key, int] = {}
        self._used = 0
        """Bytes of `_cached`."""
        self._heap: list[tuple[float, Key]] = []
        """(-next use, key), the farthest first; outdated entries are skipped."""
        self._leaving: list[Key] = []
        """What makes room for the newcomers that were admitted last."""

    def arrived(self, key: Key, size: int) -> bool:
        return bool(self.admits({key: size}, Cause.ARRIVAL))

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        return ()

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        self._now += 1
        for key in request.keys:
            uses = self._uses[key]
            while uses and uses[-1] <= self._now:
                uses.pop()
            if key in self._cached:
                self._push(key)
        return ()

    def admits(self, sizes: Sizes, cause: Cause) -> Sizes:
        self._leaving = []
        free = self._budget - self._used
        admitted: dict[Key, int] = {}
        for key in sorted(sizes, key=self._next_use):
            leaving = self._farther(self._next_use(key), sizes[key] - free)
            room = free + sum(self._cached[other] for other in leaving)
            if sizes[key] <= room:
                admitted[key] = sizes[key]
                free = room - sizes[key]
                self._leaving += leaving
                for other in leaving:
                    self._give_up(other)
            else:
                for other in leaving:
                    self._push(other)
                self._give_up(key)
        return admitted

    def evict(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        evicted = {key: self._cached[key] for key in self._leaving if key not in pinned}
        for key in self._leaving:
            self._push(key)
        self._leaving = []
        for key in evicted:
            self.discarded(key)
        return ((evicted, "farthest-next-use"),)

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        self._cached.update(sizes)
        self._used += sum(sizes.values())
        for key in sizes:
            self._push(key)

    def discarded(self, key: Key) -> None:
        self._used -= self._cached.pop(key)

    def forget(self, job: str) -> None:
        """Nothing was learned: the future is an argument."""

    def reason(self, key: Key) -> str:
        number = self._next_use(key)
        return "never used again" if number == inf else f"used again by request {number}"

    def _next_use(self, key: Key) -> float:
        """Return the number of the next request for `key`, infinity if there is none or it is given up."""
        uses = self._uses.get(key)
        if not uses or uses[-1] in self._given_up:
            return inf
        return uses[-1]

    def _farther(self, next_use: float, needed: int) -> list[Key]:
        """Return cached keys whose next use is after `next_use`, the farthest first, that come to `needed` bytes."""
        taken: list[Key] = []
        while needed > 0 and self._heap:
            farthest, key = -self._heap[0][0], self._heap[0][1]
            outdated = key not in self._cached or farthest != self._next_use(key)
            if outdated or key in taken or key in self._leaving:
                heapq.heappop(self._heap)
                continue
            if farthest <= next_use:
                break
            heapq.heappop(self._heap)
            taken.append(key)
            needed -= self._cached[key]
        for key in taken.copy():
            # A larger one that came later can make this one needless: it stays, and is no candidate again before it is
            # used. So small objects do not leave for the little room that they make.
            if self._cached[key] <= -needed:
                taken.remove(key)
                needed += self._cached[key]
        return taken

    def _give_up(self, key: Key) -> None:
        """Give up the next request for `key`: its other keys are of no use for it any more."""
        uses = self._uses.get(key)
        if self._whole and uses and uses[-1] not in self._given_up:
            self._given_up.add(uses[-1])
            for other in self._requests[uses[-1]].keys:
                if other in self._cached:
                    self._push(other)

    def _push(self, key: Key) -> None:
        heapq.heappush(self._heap, (-self._next_use(key), key))
