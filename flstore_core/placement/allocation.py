"""Which shards hold the slices of one job: rendezvous order, within each shard's fair share.

Plain rendezvous hashing is fair over many keys only. A job has few slices: two slices would land on the same one of two
shards half of the time. So each shard takes at most its fair share of a job's slices, rounded up; a slice whose
preferred shard is full goes to the next in its order.

Example (`tests/placement/test_allocation.py` runs it): job "digits" has 4 slices, and shards a and b weigh the same, so
the fair share is 2.

    slice   order   fills
    0       a, b    a
    1       b, a    b
    2       b, a    b, which is full now
    3       b, a    a, since b is full

If b is lost, a holds all four and slices 0 and 3 stay where they are. If a third shard joins, the fair share of 4 / 3
is still 2 when rounded up, and nothing moves.

Source: Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", SODA 2018.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from flstore_core.ids import JobId, ShardId
from flstore_core.placement.rendezvous import rank_shards

Owners = tuple[tuple[ShardId, ...], ...]


def allocate(job: JobId, replicas: int, weights: Mapping[ShardId, int], kept: Owners) -> Owners:
    """Return `replicas` distinct shards for each slice, the most preferred first.

    Losing a shard moves its slices only; with replicas, a few others may step aside so that holders stay distinct.
    Adding a shard moves about as many slices as the new one takes.

    Args:
        weights: by shard, a positive weight; there are at least `replicas` shards.
        kept: by slice, the shards that hold it so far, () if none does. A holder stays while it exists and has no more
            than its fair share.
    """
    allocation = _Allocation(job, replicas, weights, kept)
    allocation.fill()
    while allocation.relieve():
        pass
    return allocation.owners()


def fair_shares(slices: int, replicas: int, weights: Mapping[ShardId, int]) -> dict[ShardId, int]:
    """Return how many slices each shard may hold: its share of all copies by weight, rounded up."""
    fair: dict[ShardId, int] = {}
    # A heavy shard cannot hold two copies of a slice: it gets every slice once, and the others share the rest.
    rest, copies = dict(weights), slices * replicas
    while full := _full(slices, copies, rest):
        fair |= dict.fromkeys(full, slices)
        copies -= slices * len(full)
        rest = {shard: weight for shard, weight in rest.items() if shard not in fair}
    total = sum(rest.values())
    return fair | {shard: -(-copies * weight // total) for shard, weight in rest.items()}


def _full(slices: int, copies: int, weights: Mapping[ShardId, int]) -> list[ShardId]:
    """Return the shards whose share of the copies by weight is every slice or more."""
    total = sum(weights.values())
    return [shard for shard, weight in weights.items() if copies * weight >= slices * total]


class _Allocation:
    """The holders of each slice, as they are being chosen."""

    def __init__(self, job: JobId, replicas: int, weights: Mapping[ShardId, int], kept: Owners) -> None:
        self._replicas = replicas
        self._orders = [rank_shards(f"{job}/{index}", weights) for index in range(len(kept))]
        self._fair = fair_shares(len(kept), replicas, weights)
        self._holders = [[shard for shard in holders if shard in weights][:replicas] for holders in kept]
        self._load = Counter(shard for holders in self._holders for shard in holders)

    def fill(self) -> None:
        """Choose a shard for every copy that has none; one that is full only if no other is left."""
        for index, holders in enumerate(self._holders):
            while len(holders) < self._replicas:
                shard = self._with_room(index) or next(s for s in self._orders[index] if s not in holders)
                self._give(index, shard)

    def relieve(self) -> bool:
        """Move one slice off a shard that has more than its share; return whether one moved.

        The slice that prefers its shard least moves first. One move at a time, since each changes which shards have
        room. It ends: a slice moves to a shard with room only, so every move takes one from the slices that are beyond
        a fair share. It runs after `fill`, which needs the room first: a copy without a shard matters more than an
        uneven load. Where replicas leave no shard with room for any of the slices in excess, the excess stays.
        """
        overfull = [shard for shard, load in self._load.items() if load > self._fair[shard]]
        moves = [(self._orders[i].index(shard), i, shard) for shard in overfull for i in self._held(shard)]
        for _, index, shard in sorted(moves, reverse=True):
            if other := self._with_room(index):
                self._holders[index].remove(shard)
                self._load[shard] -= 1
                self._give(index, other)
                return True
        return False

    def owners(self) -> Owners:
        """Return the holders of each slice in its order of preference."""
        return tuple(
            tuple(sorted(holders, key=preferred.index))
            for holders, preferred in zip(self._holders, self._orders, strict=True)
        )

    def _with_room(self, index: int) -> ShardId | None:
        """Return the most preferred shard that has room for a copy of the slice, or None."""
        holders: Sequence[ShardId] = self._holders[index]
        free = (s for s in self._orders[index] if s not in holders and self._load[s] < self._fair[s])
        return next(free, None)

    def _held(self, shard: ShardId) -> list[int]:
        return [index for index, holders in enumerate(self._holders) if shard in holders]

    def _give(self, index: int, shard: ShardId) -> None:
        self._holders[index].append(shard)
        self._load[shard] += 1
