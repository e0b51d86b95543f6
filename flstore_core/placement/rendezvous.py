"""Weighted rendezvous hashing: every key ranks all shards, and no shard's rank depends on which others there are.

For each pair of key and shard a hash gives a number `u` between 0 and 1; the shard's score is weight / -ln(u), and the
highest score is first. When a shard leaves, the others keep their order, so only the keys that had it first move. A
shard is first for a share of all keys equal to its share of the weight, and changing one weight moves no key between
other shards.

Example (`tests/placement/test_rendezvous.py` runs it): for the key "digits/0", four shards of weight 1 have

    shard     u       score
    shard-0   0.413   1.13
    shard-1   0.366   1.00
    shard-2   0.677   2.56
    shard-3   0.841   5.78

so the order is 3, 2, 0, 1. With weight 6, shard-1 has the score 5.97 and is first.

Sources: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking
6(1), 1998; the weights are the logarithm method of Resch, "New hashing algorithms for data storage", SNIA SDC 2015.
"""

import hashlib
import math
from collections.abc import Mapping

from flstore_core.ids import ShardId

_BITS = 53
"""Bits of the hash that are used: as many as a float holds exactly."""
_LARGEST = 1.0 - 2.0**-_BITS
"""The largest float below 1."""


def rank_shards(key: str, weights: Mapping[ShardId, float]) -> tuple[ShardId, ...]:
    """Return all shards, the one that `key` prefers most first; `weights` are positive.

    The order is the same on every machine and in every process: nothing is seeded.
    """
    return tuple(sorted(weights, key=lambda shard: (-_score(key, shard, weights[shard]), shard)))


def _score(key: str, shard: ShardId, weight: float) -> float:
    return -weight / math.log(_uniform(key, shard))


def _uniform(key: str, shard: ShardId) -> float:
    """Return a number strictly between 0 and 1, a hash of the two names."""
    digest = hashlib.blake2b(f"{key}\n{shard}".encode(), digest_size=8).digest()
    return open_unit(int.from_bytes(digest, "big") >> (64 - _BITS))


def open_unit(number: int) -> float:
    """Map `number` < 2**`_BITS` to the middle of its part of (0, 1).

    In the upper half a float lacks the bit for the middle and rounds it; the last one would become 1.
    """
    return min((number + 0.5) / (1 << _BITS), _LARGEST)
