"""Policies by the names that settings and the command line use."""

import random
from collections.abc import Callable

from flstore_core.errors import unknown
from flstore_core.policies.base import Clock, Policy
from flstore_core.policies.lru import LRU

ON_ARRIVAL = "+arrival"
"""Suffix of a classic rival that caches new objects as they are ingested."""

_CLASSIC: dict[str, Callable[[int, bool, random.Random], Policy]] = {
    "lru": lambda budget, on_arrival, rng: LRU(on_arrival),
}


def policy_names() -> list[str]:
    """Return the names that `make_policy` knows, rivals in both ways of filling."""
    return [*_CLASSIC, *(name + ON_ARRIVAL for name in _CLASSIC)]


def make_policy(name: str, budget: int, clock: Clock, rng: random.Random) -> Policy:
    """Return a fresh policy for a cache of `budget` bytes; raise `NotFound` for an unknown name."""
    base, plus, _ = name.partition(ON_ARRIVAL)
    if name not in policy_names():
        raise unknown("policy", name, policy_names())
    return _CLASSIC[base](budget, bool(plus), rng)
