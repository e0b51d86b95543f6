"""The policy made for federated learning's access patterns (after FLStore, arXiv 2503.00323, section 4), adaptive.

It holds *groups* that requests need whole. P1: the newest models and those being served. P2: the newest rounds, rounds
asked for again, and the next round of a walk. P3: a tracked client's last updates, found by a participation index. P4:
all metadata, up to a share of the budget. How likely each kind of group is asked for next, given its age, is learned
from the requests and fades; the groups with the most expected requests per byte are planned, fetched ahead where they
are missing, and kept. The room that is left works as an LRU cache.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

from flstore_core.ids import METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Clock, Key, Policy, Prefetch, Request, Sizes, Victims, Why, last_that_fit
from flstore_core.policies.queue import Queue, take
from flstore_core.policies.tailored.candidates import Group, Hazards
from flstore_core.policies.tailored.demand import Interest
from flstore_core.policies.tailored.knapsack import make_plan
from flstore_core.policies.tailored.unplanned import Spare

METADATA_SHARE: Final = 1 / 8
"""Most of the budget that metadata may hold while it is asked for."""

MEMORY: Final = 200
"""Requests for other things than metadata after which what was learned fades once."""
FADING: Final = 0.7

METADATA_PATIENCE: Final = 400
"""As many requests without one for metadata, and it is no longer kept; a burst of other requests is shorter."""

_DEMAND, _P4 = Why.DEMAND, Pattern.P4
"""Looked up once, for speed."""


@dataclass(frozen=True)
class Parts:
    """Parts of the policy that an ablation leaves out."""

    prefetch: bool = True
    adapt: bool = True
    """Learn what each kind is worth; otherwise the priors hold for ever."""
    index: bool = True
    """Look a tracked client's rounds up; otherwise expect only what was asked for."""
    follow: bool = True
    """Follow requests; otherwise only the newest rounds and models are held."""


class Tailored(Policy):
    """Plans by what FL users do; see the module."""

    def __init__(self, budget: int, clock: Clock, parts: Parts | None = None, name: str = "tailored") -> None:
        self.name = name
        self._budget = budget
        self._most_metadata = int(METADATA_SHARE * budget)
        self._clock = clock
        self._now = 0.0
        """Second of the latest event; what is let in and evicted because of it happens at that time."""
        self._parts = parts or Parts()
        self._hazards = Hazards(self._parts.adapt)
        self._interests: dict[tuple[str, int], Interest] = {}
        self._plan: list[Group] = []
        self._planned: dict[Key, Group] = {}
        self._held: dict[Key, int] = {}
        self._used = 0
        self._spare = Spare()
        self._metadata = Queue()
        """Oldest first."""
        self._metadata_bytes = 0
        self._requests = 0
        """For other things than metadata."""
        self._metadata_asked = 0
        """Number of such requests when metadata was last asked for."""
        self._crowded = False
        """Whether the plan had no room for something that is worth holding."""

    def arrived(self, key: Key, size: int) -> bool:
        if key.client == METADATA:
            return self._wants_metadata() or size <= self._budget - self._used
        interest = self._interests.get((key.job, key.slice)) or self._interest(key.job, key.slice)
        wanted = interest.arrived(key, size)
        if wanted is not None and wanted.planned:
            self._planned.setdefault(key, wanted)
            return True
        if size <= self._budget - self._used:
            return True
        return self._spare.makes_way(interest.catalogue.newest) and size <= self._room()

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        self._now = self._clock()
        self._interest(job, slice).committed(round, self._now)
        return self._replan(())

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        now = self._now = self._clock()
        if request.pattern is _P4 or not request.keys:
            # A gateway that keeps the metadata tells no shard's policy of these: they must not change what it plans.
            self._metadata_asked = self._requests
            return ()
        self._count()
        self._touch(request.keys)
        walked = False
        for slice_ in {key.slice for key in request.keys}:
            walked |= self._interest(request.job, slice_).requested(request, now)
        # What else went as expected changes little: where all has room, what to hold next can wait for the next commit.
        return self._replan(missing) if missing or walked or self._crowded else ()

    def admits(self, sizes: Sizes, why: Why) -> Sizes:
        planned = self._planned
        if sizes.keys() <= planned.keys():
            return sizes
        wanted = {key: size for key, size in sizes.items() if key in planned or key.client == METADATA}
        others = {key: size for key, size in sizes.items() if key not in wanted}
        return {**last_that_fit(others, self._room() - sum(wanted.values())), **wanted}

    def evict(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        victims: list[Victims] = []
        for choose in (self._old_metadata, self._spare.evict, self._least_of_plan):
            if needed > 0:
                chosen = choose(needed, pinned)
                needed -= sum([self._drop(sizes) for sizes, _ in chosen])
                victims += chosen
        return victims

    def inserted(self, sizes: Sizes, why: Why) -> None:
        self._held.update(sizes)
        self._used += sum(sizes.values())
        asked, planned = why is _DEMAND, self._planned
        if not asked and sizes.keys() <= planned.keys():
            return
        for key, size in sizes.items():
            if (group := planned.get(key)) is not None:
                group.asked |= asked
            elif key.client == METADATA:
                self._metadata[key] = size
                self._metadata_bytes += size
            else:
                self._spare.put(key, size, asked)

    def discarded(self, key: Key) -> None:
        size = self._held.pop(key)
        self._used -= size
        if self._metadata.pop(key, None) is None:
            self._spare.drop(key)
        else:
            self._metadata_bytes -= size

    def forget(self, job: str) -> None:
        for scope in [scope for scope in self._interests if scope[0] == job]:
            del self._interests[scope]
        self._replan(())

    def reason(self, key: Key) -> str:
        if key.client == METADATA:
            return "metadata is kept (P4)"
        group = self._planned.get(key)
        return f"{group.label} ({group.pattern})" if group else "room to spare: lately new or asked for"

    def _interest(self, job: str, slice_: int) -> Interest:
        scope = (job, slice_)
        found = self._interests.get(scope)
        if found is None:
            found = self._interests[scope] = Interest(self._hazards, self._parts.index, self._parts.follow)
        return found

    def _count(self) -> None:
        self._requests += 1
        if self._requests % MEMORY == 0:
            self._hazards.fade(FADING)

    def _touch(self, keys: Sequence[Key]) -> None:
        """Note that objects were asked for."""
        planned, spare = self._planned, self._spare
        for key in keys:
            group = planned.get(key)
            if group is None:
                spare.touch(key)
            else:
                group.asked = True

    def _surplus(self) -> int:
        """Return the bytes of metadata beyond its share; all of them once nobody asks for any."""
        surplus = self._metadata_bytes - self._most_metadata if self._wants_metadata() else self._metadata_bytes
        return max(0, surplus)

    def _wants_metadata(self) -> bool:
        return self._requests - self._metadata_asked <= METADATA_PATIENCE

    def _room(self) -> int:
        """Return the bytes that are free or hold nothing worth keeping."""
        return self._budget - self._used + self._spare.bytes + self._surplus()

    def _drop(self, sizes: Sizes) -> int:
        """Forget objects that leave; return their bytes."""
        for key in sizes:
            del self._held[key]
        freed = sum(sizes.values())
        self._used -= freed
        return freed

    def _replan(self, missing: Sequence[Key]) -> Sequence[Prefetch]:
        """Choose anew what to hold; return what to fetch, apart from `missing`, which is being fetched anyway."""
        now = self._now
        candidates = [group for interest in self._interests.values() for group in interest.judged(now)]
        plan, self._crowded = make_plan(candidates, self._budget - self._metadata_bytes + self._surplus())
        taken_up = [group for group in plan if group.changed or not group.planned]
        if not taken_up and len(plan) == len(self._plan):
            return ()
        self._adopt(plan)
        wanted = [(self._absent(group, missing), group.pattern) for group in taken_up]
        return [(absent, pattern) for absent, pattern in wanted if absent] if self._parts.prefetch else ()

    def _adopt(self, plan: list[Group]) -> None:
        """Make `plan` the plan: what it drops becomes spare."""
        before, planned = self._planned, {}
        for group in self._plan:
            if group not in plan:
                group.plan(False)
        for group in reversed(plan):
            group.plan(True)
            group.changed = False
            planned.update(dict.fromkeys(group.keys, group))
        self._plan, self._planned = plan, planned
        held = self._held
        for key, group in before.items():
            if key not in planned and (size := held.get(key)) is not None:
                self._spare.put(key, size, group.asked)

    def _absent(self, group: Group, missing: Sequence[Key]) -> Sizes:
        """Return what is to be fetched for a group that was just taken up; what is held is no longer spare."""
        held, spare = self._held, self._spare
        absent = {}
        for key, size in group.keys.items():
            if key in held:
                group.asked |= spare.drop(key)
            elif key not in missing:
                absent[key] = size
        return absent

    def _old_metadata(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        """Let go of metadata that is more than its share, the oldest first."""
        surplus = self._surplus()
        if not surplus:
            return ()
        taken = take(self._metadata, min(needed, surplus), pinned)
        self._metadata_bytes -= sum(taken.values())
        return ((taken, "old-metadata"),)

    def _least_of_plan(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        """Choose objects of the plan's last groups: only pins and growing metadata make that necessary."""
        held = Queue((key, self._held[key]) for key in self._planned if key in self._held)
        return ((take(held, needed, pinned), "least-planned"),)
