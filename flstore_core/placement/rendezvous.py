"""Weighted rendezvous hashing: every key ranks all shards by itself.

Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (IEEE/ACM Transactions on Networking 6(1),
1998); weights by the logarithm method of Resch, "New hashing algorithms for data storage" (SNIA SDC 2015): a shard is
first in a share of all keys equal to its share of the weight, and changing one weight moves no key between others.
"""

import hashlib
import math
from collections.abc import Mapping

from flstore_core.ids import ShardId

_BITS = 53
"""As many as a float holds exactly."""


def order(key: str, weights: Mapping[ShardId, float]) -> tuple[ShardId, ...]:
    """Return all shards in the order in which `key` prefers them; weights are positive.

    The same on every machine and in every process: nothing is seeded.
    """
    return tuple(sorted(weights, key=lambda shard: (-_score(key, shard, weights[shard]), shard)))


def _score(key: str, shard: ShardId, weight: float) -> float:
    return -weight / math.log(_uniform(key, shard))


def _uniform(key: str, shard: ShardId) -> float:
    """Return a number strictly between 0 and 1 that looks random but follows from the two names."""
    digest = hashlib.blake2b(f"{key}\n{shard}".encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> (64 - _BITS)) + 0.5) / (1 << _BITS)
