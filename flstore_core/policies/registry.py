"""Policies by the names that settings and the command line use."""

import random
from collections.abc import Callable

from flstore_core.errors import unknown
from flstore_core.policies.base import Clock, Policy
from flstore_core.policies.classic.base import ON_ARRIVAL
from flstore_core.policies.classic.fifo import FIFO
from flstore_core.policies.classic.gdsf import GDSF
from flstore_core.policies.classic.lfu import LFU
from flstore_core.policies.classic.lru import LRU
from flstore_core.policies.classic.random import Random
from flstore_core.policies.classic.s3fifo import S3FIFO
from flstore_core.policies.tailored.policy import Parts, Tailored

_CLASSIC: dict[str, Callable[[int, bool, random.Random], Policy]] = {
    "lru": lambda budget, on_arrival, rng: LRU(on_arrival),
    "lfu": lambda budget, on_arrival, rng: LFU(on_arrival),
    "fifo": lambda budget, on_arrival, rng: FIFO(on_arrival),
    "random": lambda budget, on_arrival, rng: Random(rng, on_arrival),
    "s3-fifo": lambda budget, on_arrival, rng: S3FIFO(budget, on_arrival),
    "gdsf": lambda budget, on_arrival, rng: GDSF(on_arrival),
}

_TAILORED = {
    "tailored": Parts(),
    "tailored-no-prefetch": Parts(prefetch=False),
    "tailored-no-adaptation": Parts(adapt=False),
    "tailored-no-index": Parts(index=False),
    "tailored-static": Parts(adapt=False, follow=False),
}
"""The policy and its ablations."""


RIVALS = (*_CLASSIC, *(name + ON_ARRIVAL for name in _CLASSIC))
"""General-purpose policies, filling on demand and on arrival as well."""

ABLATIONS = tuple(name for name in _TAILORED if name != "tailored")


def policy_names() -> list[str]:
    """Return the names that `make_policy` knows."""
    return [*_TAILORED, *RIVALS]


def make_policy(name: str, budget: int, clock: Clock, rng: random.Random) -> Policy:
    """Return a fresh policy for a cache of `budget` bytes; raise `NotFound` for an unknown name."""
    if name not in policy_names():
        raise unknown("policy", name, policy_names())
    if name in _TAILORED:
        return Tailored(budget, clock, _TAILORED[name], name)
    base, plus, _ = name.partition(ON_ARRIVAL)
    return _CLASSIC[base](budget, bool(plus), rng)
