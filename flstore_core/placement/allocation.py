"""Slices onto shards: rendezvous order, within each shard's fair share of the job.

Plain rendezvous hashing is fair over many keys only; a job has few slices, and two of two would land on one of two
shards half of the time. So a shard takes at most its share of a job's slices, rounded up, and the next in the slice's
order takes what is over: Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads" (SODA 2018).
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from flstore_core.ids import JobId, ShardId
from flstore_core.placement.rendezvous import order

Owners = tuple[tuple[ShardId, ...], ...]


def allocate(job: JobId, replicas: int, weights: Mapping[ShardId, int], kept: Owners) -> Owners:
    """Return `replicas` distinct shards for each slice; there are at least as many shards.

    `kept` has who holds each slice so far, () where nobody does. A holder stays while it exists and is within its
    share: losing a shard moves its slices only (with replicas, a few others may step aside to keep holders distinct),
    and adding one moves about as many slices as the new one takes.
    """
    allocation = _Allocation(job, replicas, weights, kept)
    allocation.fill()
    while allocation.relieve():
        pass
    return allocation.owners()


def shares(slices: int, replicas: int, weights: Mapping[ShardId, int]) -> dict[ShardId, int]:
    """Return how many slices each shard may hold: its share of all copies by weight, rounded up, each slice once."""
    fair: dict[ShardId, int] = {}
    rest, copies = dict(weights), slices * replicas
    while full := _full(slices, copies, rest):
        fair |= dict.fromkeys(full, slices)
        copies -= slices * len(full)
        rest = {shard: weight for shard, weight in rest.items() if shard not in fair}
    total = sum(rest.values())
    return fair | {shard: -(-copies * weight // total) for shard, weight in rest.items()}


def _full(slices: int, copies: int, weights: Mapping[ShardId, int]) -> list[ShardId]:
    """Return the shards whose fair share of the copies is every slice, or more."""
    total = sum(weights.values())
    return [shard for shard, weight in weights.items() if copies * weight >= slices * total]


class _Allocation:
    def __init__(self, job: JobId, replicas: int, weights: Mapping[ShardId, int], kept: Owners) -> None:
        self._replicas = replicas
        self._orders = [order(f"{job}/{index}", weights) for index in range(len(kept))]
        self._fair = shares(len(kept), replicas, weights)
        self._holders = [[shard for shard in before if shard in weights][:replicas] for before in kept]
        self._load = Counter(shard for holders in self._holders for shard in holders)

    def fill(self) -> None:
        """Find a shard for every copy that has none, over its share only if no other is left."""
        for index, holders in enumerate(self._holders):
            while len(holders) < self._replicas:
                shard = self._roomy(index) or next(s for s in self._orders[index] if s not in holders)
                self._give(index, shard)

    def relieve(self) -> bool:
        """Move one slice, the one that likes its place least, off a shard over its share; return whether any could."""
        over = [shard for shard, load in self._load.items() if load > self._fair[shard]]
        moves = [(self._orders[i].index(shard), i, shard) for shard in over for i in self._held(shard)]
        for _, index, shard in sorted(moves, reverse=True):
            if other := self._roomy(index):
                self._holders[index].remove(shard)
                self._load[shard] -= 1
                self._give(index, other)
                return True
        return False

    def owners(self) -> Owners:
        return tuple(
            tuple(sorted(holders, key=preferred.index))
            for holders, preferred in zip(self._holders, self._orders, strict=True)
        )

    def _roomy(self, index: int) -> ShardId | None:
        holders: Sequence[ShardId] = self._holders[index]
        free = (s for s in self._orders[index] if s not in holders and self._load[s] < self._fair[s])
        return next(free, None)

    def _held(self, shard: ShardId) -> list[int]:
        return [index for index, holders in enumerate(self._holders) if shard in holders]

    def _give(self, index: int, shard: ShardId) -> None:
        self._holders[index].append(shard)
        self._load[shard] += 1
