"""The policy made for federated learning's access patterns (after FLStore, arXiv 2503.00323, section 4), adaptive.

It holds *groups* that requests need whole. P1: the newest models and those being served. P2: the newest rounds, rounds
asked for again, and the next round of a walk. P3: a tracked client's last updates, found by a participation index. P4:
all metadata, up to a share of the budget. How likely each kind of group is asked for next, given its age, is learned
from the requests and fades; the groups with the most expected requests per byte are planned, fetched ahead where they
are missing, and kept. The room that is left works as an LRU cache.
"""

from collections import OrderedDict
from collections.abc import Container, Sequence
from dataclasses import dataclass

from flstore_core.ids import METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Clock, Key, Policy, Prefetch, Request, Victim, Why
from flstore_core.policies.groups import Group, Hazards
from flstore_core.policies.interest import Interest
from flstore_core.policies.plan import make_plan
from flstore_core.policies.spare import Spare

METADATA_SHARE = 1 / 8
"""Most of the budget that metadata may hold."""

MEMORY = 200
"""Requests for other things than metadata after which what was learned fades once."""
FADING = 0.7

_ARRIVAL, _DEMAND, _P4 = Why.ARRIVAL, Why.DEMAND, Pattern.P4
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
        self._clock = clock
        self._now = 0.0
        """Second of the latest event; what is let in and evicted because of it happens at that time."""
        self._most_metadata = budget * METADATA_SHARE
        self._parts = parts or Parts()
        self._hazards = Hazards(self._parts.adapt)
        self._interests: dict[tuple[str, int], Interest] = {}
        self._plan: list[Group] = []
        self._planned: dict[Key, Group] = {}
        self._held: dict[Key, int] = {}
        self._used = 0
        self._spare = Spare()
        self._metadata: OrderedDict[Key, None] = OrderedDict()
        """Oldest first."""
        self._metadata_bytes = 0
        self._why = _DEMAND
        """What brings the object that is being let in."""
        self._requests = 0
        self._crowded = False
        """Whether the plan had no room for something that is worth holding."""

    def arrived(self, key: Key, size: int) -> bool:
        if key.client == METADATA:
            return True
        interest = self._interests.get((key.job, key.slice)) or self._interest(key.job, key.slice)
        wanted = interest.arrived(key, size)
        if wanted is not None and wanted.planned:
            self._planned.setdefault(key, wanted)
            return True
        self._why = _ARRIVAL
        free = self._budget - self._used
        if size <= free:
            return True
        return size <= free + self._spare.bytes and self._spare.makes_way(interest.catalogue.newest)

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        self._now = self._clock()
        self._interest(job, slice).committed(round, self._now)
        return self._replan(())

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        now = self._now = self._clock()
        if request.pattern is _P4 or not request.keys:
            return ()  # Where a gateway keeps the metadata, a shard's policy does not learn of these either.
        self._count()
        self._touch(request.keys)
        walked = False
        for slice_ in {key.slice for key in request.keys}:
            walked |= self._interest(request.job, slice_).requested(request, now)
        # What else went as expected changes little: where all has room, what to hold next can wait for the next commit.
        return self._replan(missing) if missing or walked or self._crowded else ()

    def admits(self, key: Key, size: int, why: Why) -> bool:
        self._why = why
        if key in self._planned or key.client == METADATA:
            return True
        return size <= self._budget - self._used + self._spare.bytes

    def victim(self, pinned: Container[Key]) -> Victim | None:
        if self._metadata_bytes > self._most_metadata:
            for key in self._metadata:
                if key not in pinned:
                    return key, "old-metadata"
        return self._spare.victim(pinned) or self._least_of_plan(pinned)

    def inserted(self, key: Key, size: int) -> None:
        self._held[key] = size
        self._used += size
        if key.client == METADATA:
            self._metadata[key] = None
            self._metadata_bytes += size
        elif (group := self._planned.get(key)) is None:
            self._spare.put(key, size, self._why is _DEMAND)
        elif self._why is _DEMAND:
            group.asked = True

    def removed(self, key: Key) -> None:
        if key.client == METADATA:
            del self._metadata[key]
            self._metadata_bytes -= self._held[key]
        else:
            self._spare.drop(key)
        self._used -= self._held.pop(key)

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

    def _replan(self, missing: Sequence[Key]) -> Sequence[Prefetch]:
        """Choose anew what to hold; return what to fetch, apart from `missing`, which is being fetched anyway."""
        now = self._now
        candidates = [group for interest in self._interests.values() for group in interest.judged(now)]
        plan, self._crowded = make_plan(candidates, self._budget - self._metadata_bytes)
        if len(plan) == len(self._plan) and all(group.planned and not group.changed for group in plan):
            return ()
        self._adopt(plan)
        if not self._parts.prefetch:
            return ()
        held = self._held
        absent = [item for item in self._planned.items() if item[0] not in held]
        return [Prefetch(key, group.pattern) for key, group in absent if key not in missing]

    def _adopt(self, plan: list[Group]) -> None:
        """Make `plan` the plan: what it drops becomes spare, what it takes up no longer is."""
        before, planned = self._planned, {}
        for group in self._plan:
            group.plan(False)
        for group in reversed(plan):
            group.plan(True)
            group.changed = False
            planned.update(dict.fromkeys(group.keys, group))
        self._plan, self._planned = plan, planned
        held, spare = self._held, self._spare
        for key, group in before.items():
            if key not in planned and key in held:
                spare.put(key, held[key], group.asked)
        for key, group in planned.items():
            if key not in before and key in held and spare.drop(key):
                group.asked = True

    def _least_of_plan(self, pinned: Container[Key]) -> Victim | None:
        """Name an object of the plan's last group: only pins and growing metadata make that necessary."""
        for key in self._planned:
            if key in self._held and key not in pinned:
                return key, "least-planned"
        return None
