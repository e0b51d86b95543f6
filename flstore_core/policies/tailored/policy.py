"""The policy made for the access patterns of federated learning (after FLStore, arXiv 2503.00323, section 4).

It plans which *groups* of objects to hold: a request needs all of its objects, so half a group is worth nothing.

1. `Demand` learns from every commit and request which groups may be requested next, and how likely each kind of them
   is at its age. What it learned fades, so the policy follows users who change.
2. `choose_candidates` plans the groups with the most expected requests per byte that fit into the budget. This happens
   at each commit, each miss, each step of a scan worth following, and at each other request while something worth
   holding has no room.
3. What is missing of the planned groups is fetched ahead.
4. `Metadata` (P4) has a share of the budget that no plan takes. The room that the plan leaves works as a 2Q cache for
   everything else (`Unplanned`).

With 10 updates a round, a budget of 22 models and a little metadata have room for 21: the newest round (10) with either
the next round of an audit's scan (10) and one model, or a tracked client's last five updates and several models,
whichever is likelier to be requested next.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

from flstore_core.ids import METADATA
from flstore_core.patterns import Pattern
from flstore_core.policies.base import (
    Cause,
    Key,
    Policy,
    Prefetch,
    Request,
    Sizes,
    TimeSource,
    Victims,
    last_that_fit,
    take_first,
)
from flstore_core.policies.tailored.candidates import Candidate, Hazards
from flstore_core.policies.tailored.demand import Demand
from flstore_core.policies.tailored.knapsack import choose_candidates
from flstore_core.policies.tailored.metadata import Metadata
from flstore_core.policies.tailored.unplanned import Unplanned

FADE_REQUESTS: Final = 200
"""Requests for other things than metadata after which what was learned fades once."""
FADE_FACTOR: Final = 0.7

_DEMAND, _P4 = Cause.DEMAND, Pattern.P4
"""Looked up once, for speed."""


@dataclass(frozen=True)
class Ablation:
    """Which parts of the policy work; an ablation leaves one out."""

    prefetch: bool = True
    """Fetch what is missing of the planned groups."""
    adapt: bool = True
    """Learn what each kind is worth; otherwise the priors hold for ever."""
    index: bool = True
    """Look up the rounds in which a tracked client took part; otherwise expect only what was requested."""
    follow: bool = True
    """Follow requests; otherwise only the newest rounds and models are planned."""


class Tailored(Policy):
    """Plans by what FL users do; the module says how."""

    def __init__(self, budget: int, clock: TimeSource, parts: Ablation | None = None, name: str = "tailored") -> None:
        self.name = name
        self._budget = budget
        self._clock = clock
        self._now = 0.0
        """Second of the latest event; what is cached and evicted because of it happens at that time."""
        self._parts = parts or Ablation()
        self._hazards = Hazards(self._parts.adapt)
        self._demands: dict[tuple[str, int], Demand] = {}
        """By job and slice."""
        self._plan: list[Candidate] = []
        """Roughly the densest first."""
        self._planned: dict[Key, Candidate] = {}
        """By object, the densest planned candidate that includes it."""
        self._left_out = False
        """Whether the plan had no room for something that is worth holding."""
        self._cached: dict[Key, int] = {}
        self._used = 0
        """Bytes of `_cached`."""
        self._metadata = Metadata(budget)
        self._unplanned = Unplanned()
        self._requests = 0
        """For other things than metadata."""

    def arrived(self, key: Key, size: int) -> bool:
        if key.client == METADATA:
            return self._metadata.is_wanted() or size <= self._budget - self._used
        demand = self._demands.get((key.job, key.slice)) or self._demand(key.job, key.slice)
        candidate = demand.add(key, size)
        if candidate is not None and candidate.planned:
            self._planned.setdefault(key, candidate)
            return True
        if size <= self._budget - self._used:
            return True
        return self._unplanned.makes_way(demand.rounds.newest, demand.awaits(key)) and size <= self._room()

    def committed(self, job: str, round: int, slice: int) -> Sequence[Prefetch]:  # noqa: A002
        self._now = self._clock()
        self._demand(job, slice).commit(round, self._now)
        return self._replan(())

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        now = self._now = self._clock()
        if request.pattern is _P4 or not request.keys:
            # A gateway that caches the metadata itself passes no such request on, so these must not change the plan.
            self._metadata.observe_request()
            return ()
        self._count_request()
        self._touch(request.keys)
        scanned = False
        for slice_ in {key.slice for key in request.keys}:
            scanned |= self._demand(request.job, slice_).observe_request(request, now)
        # Any other hit changes little: where everything has room, what to hold next can wait for the next commit.
        return self._replan(missing) if missing or scanned or self._left_out else ()

    def admits(self, sizes: Sizes, cause: Cause) -> Sizes:
        planned = self._planned
        if sizes.keys() <= planned.keys():
            return sizes
        certain = {key: size for key, size in sizes.items() if key in planned or key.client == METADATA}
        others = {key: size for key, size in sizes.items() if key not in certain}
        return {**last_that_fit(others, self._room() - sum(certain.values())), **certain}

    def evict(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        victims: list[Victims] = []
        for choose in (self._metadata.evict, self._unplanned.evict, self._evict_planned):
            if needed > 0:
                chosen = choose(needed, pinned)
                needed -= sum([self._remove(sizes) for sizes, _ in chosen])
                victims += chosen
        return victims

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        self._cached.update(sizes)
        self._used += sum(sizes.values())
        was_read, planned = cause is _DEMAND, self._planned
        if not was_read and sizes.keys() <= planned.keys():
            return
        for key, size in sizes.items():
            if (candidate := planned.get(key)) is not None:
                candidate.was_read |= was_read
            elif key.client == METADATA:
                self._metadata.put(key, size)
            else:
                self._unplanned.put(key, size, was_read or self._awaits(key))

    def discarded(self, key: Key) -> None:
        self._used -= self._cached.pop(key)
        if key.client == METADATA:
            self._metadata.drop(key)
        else:
            self._unplanned.drop(key)

    def forget(self, job: str) -> None:
        for scope in [scope for scope in self._demands if scope[0] == job]:
            del self._demands[scope]
        self._adopt([candidate for candidate in self._plan if not candidate.belongs_to(job)])
        # A deletion fetches nothing, so nothing may be planned because of it: what is planned counts as fetched. The
        # next event plans for the room that is free now.
        self._left_out = True

    def reason(self, key: Key) -> str:
        if key.client == METADATA:
            return "metadata (P4)"
        candidate = self._planned.get(key)
        return f"{candidate.kind} ({candidate.pattern})" if candidate else "not planned, kept while there is room"

    def _demand(self, job: str, slice_: int) -> Demand:
        """Return the demand for a slice of a job, made when it is first needed."""
        scope = (job, slice_)
        demand = self._demands.get(scope)
        if demand is None:
            demand = self._demands[scope] = Demand(self._hazards, self._parts.index, self._parts.follow)
        return demand

    def _awaits(self, key: Key) -> bool:
        demand = self._demands.get((key.job, key.slice))
        return demand is not None and demand.awaits(key)

    def _count_request(self) -> None:
        self._metadata.observe_other_request()
        self._requests += 1
        if self._requests % FADE_REQUESTS == 0:
            self._hazards.fade(FADE_FACTOR)

    def _touch(self, keys: Sequence[Key]) -> None:
        """Note that a request reads `keys`."""
        planned, unplanned = self._planned, self._unplanned
        for key in keys:
            candidate = planned.get(key)
            if candidate is None:
                unplanned.touch(key)
            else:
                candidate.was_read = True

    def _room(self) -> int:
        """Return the bytes that are free or hold nothing worth keeping."""
        return self._budget - self._used + self._unplanned.bytes + self._metadata.surplus()

    def _remove(self, sizes: Sizes) -> int:
        """Forget objects that leave the cache; return their bytes."""
        for key in sizes:
            del self._cached[key]
        freed = sum(sizes.values())
        self._used -= freed
        return freed

    def _replan(self, missing: Sequence[Key]) -> Sequence[Prefetch]:
        """Choose again what to hold; return what to fetch, apart from `missing`, which is being fetched already."""
        now, metadata = self._now, self._metadata
        candidates = [candidate for demand in self._demands.values() for candidate in demand.judge(now)]
        plan, self._left_out = choose_candidates(candidates, self._budget - metadata.bytes + metadata.surplus())
        # What is planned counts as fetched, so each candidate is returned once: when the plan takes it in, and again if
        # its objects have changed. A caller that drops the answer leaves them missing until a request asks for them.
        added = [candidate for candidate in plan if candidate.changed or not candidate.planned]
        if not added and len(plan) == len(self._plan):  # all were planned before, and as many: the plan is the same
            return ()
        self._adopt(plan)  # before the fetches are listed: only what has become planned leaves the unplanned
        prefetches = [(self._absent(candidate, missing), candidate.pattern) for candidate in added]
        return [(sizes, pattern) for sizes, pattern in prefetches if sizes] if self._parts.prefetch else ()

    def _adopt(self, plan: list[Candidate]) -> None:
        """Make `plan` the plan; cached objects that it drops become unplanned.

        A cached object is in exactly one place: the metadata, a planned candidate, or the unplanned. Only here do
        objects leave the plan, and only in `_absent` do unplanned ones enter it.
        """
        before, planned = self._planned, {}
        for candidate in self._plan:
            if candidate not in plan:
                candidate.set_planned(False)
        for candidate in reversed(plan):  # the densest last: an object that several include belongs to the densest
            candidate.set_planned(True)
            candidate.changed = False
            planned.update(dict.fromkeys(candidate.group.sizes, candidate))
        self._plan, self._planned = plan, planned
        cached = self._cached
        for key, candidate in before.items():  # once the whole plan is known: another candidate may include the object
            if key not in planned and (size := cached.get(key)) is not None:
                self._unplanned.put(key, size, candidate.was_read)

    def _absent(self, candidate: Candidate, missing: Sequence[Key]) -> Sizes:
        """Return what to fetch for a candidate that the plan has added; its cached objects are unplanned no more."""
        cached, unplanned = self._cached, self._unplanned
        absent = {}
        for key, size in candidate.group.sizes.items():
            if key in cached:
                candidate.was_read |= unplanned.drop(key)
            elif key not in missing:
                absent[key] = size
        return absent

    def _evict_planned(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        """Evict planned objects, those of the least dense candidates first.

        A plan fits into the budget, so this is the last resort: where pins keep what should leave, and where metadata
        has grown since the plan was made. The candidate stays planned; a request that misses the object brings it back.
        """
        ranks = {id(candidate): rank for rank, candidate in enumerate(self._plan)}
        planned = sorted(self._planned.items(), key=lambda item: ranks.get(id(item[1]), len(ranks)), reverse=True)
        cached = {key: self._cached[key] for key, _ in planned if key in self._cached}
        return ((take_first(cached, needed, pinned), "least-planned"),)
