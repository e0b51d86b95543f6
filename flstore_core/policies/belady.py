"""The offline optimum by farthest next use (Belady, 1966; with bypassing as McFarling, 1989). For the simulator only.

It knows every request to come, is offered each object as it arrives and as it is missed, may leave it out, and never
prefetches. Where all objects are equally large and every request names one key, no policy without prefetching hits
more: an arrival is a miss that nobody can avoid, so fewest misses are most hits, and MIN with bypassing has the fewest.

Two things make it a heuristic elsewhere. With sizes, finding the optimum is NP-hard. And a request is a hit only if all
of its keys are cached, so the fewest missed keys are not the fewest missed requests: with `whole` set, a request that
has lost one of its keys is given up and its other keys are the next to go. `flstore_core.simulator.offline` takes the
best of both and of every rival's own decisions, which an offline policy can repeat.
"""

import heapq
from collections.abc import Container, Iterable, Sequence
from math import inf

from flstore_core.policies.base import Key, Policy, Prefetch, Request, Sizes, Victims, Why


class Belady(Policy):
    """Evicts what is used again last, or never; keeps a newcomer out that would be used later than what it replaces."""

    def __init__(self, budget: int, future: Iterable[Request], whole: bool = True) -> None:
        self.name = "belady"
        self._budget = budget
        self._requests = list(future)
        self._whole = whole
        """Whether a request that lost a key is given up."""
        self._now = -1
        """Number of the current request."""
        self._uses: dict[Key, list[int]] = {}
        """Requests still to come for each key, the next one last."""
        for number in range(len(self._requests) - 1, -1, -1):
            for key in self._requests[number].keys:
                self._uses.setdefault(key, []).append(number)
        self._given_up: set[int] = set()
        self._held: dict[Key, int] = {}
        self._used = 0
        self._heap: list[tuple[float, Key]] = []
        """By farthest next use; entries that are out of date are skipped."""
        self._leaving: list[Key] = []
        """What makes room for the newcomers that were admitted last."""

    def arrived(self, key: Key, size: int) -> bool:
        return bool(self.admits({key: size}, Why.ARRIVAL))

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        return ()

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        self._now += 1
        for key in request.keys:
            uses = self._uses[key]
            while uses and uses[-1] <= self._now:
                uses.pop()
            if key in self._held:
                self._push(key)
        return ()

    def admits(self, sizes: Sizes, why: Why) -> Sizes:
        self._leaving = []
        free = self._budget - self._used
        admitted: dict[Key, int] = {}
        for key in sorted(sizes, key=self._next_use):
            leaving = self._farther(self._next_use(key), sizes[key] - free)
            room = free + sum(self._held[other] for other in leaving)
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
        gone = {key: self._held[key] for key in self._leaving if key not in pinned}
        for key in self._leaving:
            self._push(key)
        self._leaving = []
        for key in gone:
            self.discarded(key)
        return ((gone, "farthest-next-use"),)

    def inserted(self, sizes: Sizes, why: Why) -> None:
        self._held.update(sizes)
        self._used += sum(sizes.values())
        for key in sizes:
            self._push(key)

    def discarded(self, key: Key) -> None:
        self._used -= self._held.pop(key)

    def forget(self, job: str) -> None:
        """The future is given and stays."""

    def reason(self, key: Key) -> str:
        return f"used again by request {self._next_use(key)}"

    def _next_use(self, key: Key) -> float:
        uses = self._uses.get(key)
        if not uses or uses[-1] in self._given_up:
            return inf
        return uses[-1]

    def _farther(self, next_use: float, needed: int) -> list[Key]:
        """Choose held keys whose next use is after `next_use`, the farthest first, that come to `needed` bytes."""
        taken: list[Key] = []
        while needed > 0 and self._heap:
            farthest, key = -self._heap[0][0], self._heap[0][1]
            out_of_date = key not in self._held or farthest != self._next_use(key)
            if out_of_date or key in taken or key in self._leaving:
                heapq.heappop(self._heap)
                continue
            if farthest <= next_use:
                break
            heapq.heappop(self._heap)
            taken.append(key)
            needed -= self._held[key]
        for key in taken.copy():
            # What a larger one after it made needless stays, and is no candidate again before it is used: so small
            # objects do not leave for the little room that they make.
            if self._held[key] <= -needed:
                taken.remove(key)
                needed += self._held[key]
        return taken

    def _give_up(self, key: Key) -> None:
        """Give the next request for `key` up: its other keys are of no use for it."""
        uses = self._uses.get(key)
        if self._whole and uses and uses[-1] not in self._given_up:
            self._given_up.add(uses[-1])
            for other in self._requests[uses[-1]].keys:
                if other in self._held:
                    self._push(other)

    def _push(self, key: Key) -> None:
        heapq.heappush(self._heap, (-self._next_use(key), key))
