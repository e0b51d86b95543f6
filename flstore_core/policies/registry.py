"""Policies by the names that settings, the command line and the study use: the one place that lists them.

What must know every policy derives from here: `make_policy` in shards and predictors, `flstore simulate` and its help,
the offline reference, the study's tables, the tests' contract suite, and the names that the Helm chart accepts.

Three places show a selection by hand, because each policy that they show costs memory, time or ink: the shadow caches
of a shard (`SHADOWS` in `services/shard/state.py`), the curves of the study's charts (`CURVES` in
`loadgen/study/report.py`) and the live replay (`vary` in `loadgen/experiments/policies.yaml`).
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from flstore_core.errors import unknown
from flstore_core.policies.base import Policy, TimeSource
from flstore_core.policies.classic.base import ON_ARRIVAL
from flstore_core.policies.classic.fifo import FIFO
from flstore_core.policies.classic.gdsf import GDSF
from flstore_core.policies.classic.lfu import LFU
from flstore_core.policies.classic.lru import LRU
from flstore_core.policies.classic.random import Random
from flstore_core.policies.classic.s3fifo import S3FIFO
from flstore_core.policies.tailored import policy as tailored
from flstore_core.policies.tailored.policy import Ablation, Tailored

BELADY = "belady"
"""The offline reference of the simulator. It needs the whole trace in advance, so `make_policy` cannot make it."""


class Inputs(NamedTuple):
    """What a policy may use."""

    budget: int
    """Bytes of the cache."""
    clock: TimeSource
    rng: random.Random
    """The only source of chance, so that a run can be repeated."""


RIVALS: dict[str, Callable[[Inputs, bool], Policy]] = {
    "lru": lambda inputs, on_arrival: LRU(on_arrival),
    "lfu": lambda inputs, on_arrival: LFU(on_arrival),
    "fifo": lambda inputs, on_arrival: FIFO(on_arrival),
    "random": lambda inputs, on_arrival: Random(inputs.rng, on_arrival),
    "s3-fifo": lambda inputs, on_arrival: S3FIFO(inputs.budget, on_arrival),
    "gdsf": lambda inputs, on_arrival: GDSF(on_arrival),
}
"""Policies that do not fetch ahead. Each is there twice: filled by misses and, named "...+arrival", on arrival too."""

TAILORED: dict[str, Ablation] = {
    "tailored": Ablation(),
    "tailored-no-prefetch": Ablation(prefetch=False),
    "tailored-no-adaptation": Ablation(adapt=False),
    "tailored-no-index": Ablation(index=False),
    "tailored-static": Ablation(adapt=False, follow=False),
}
"""The policy made for FL and what is left of it without one of its parts."""


def policy_names() -> list[str]:
    """Return the names that `make_policy` knows."""
    return [*TAILORED, *rival_names()]


def rival_names() -> list[str]:
    """Return the names of the rivals, filled by misses first and on arrival after them."""
    return [*RIVALS, *(name + ON_ARRIVAL for name in RIVALS)]


def ablation_names() -> list[str]:
    """Return the names of the tailored policy's ablations."""
    return [name for name in TAILORED if name != "tailored"]


def names_without_prefetch() -> list[str]:
    """Return the names of the policies that never fetch ahead: the offline reference may repeat what they decide."""
    return [*rival_names(), *(name for name, parts in TAILORED.items() if not parts.prefetch)]


def check_policy(name: str) -> str:
    """Return `name`; raise `NotFound` with the nearest names if there is no such policy."""
    if name not in policy_names():
        raise unknown("policy", name, policy_names())
    return name


def make_policy(name: str, budget: int, clock: TimeSource, rng: random.Random) -> Policy:
    """Return a fresh policy for a cache of `budget` bytes; raise `NotFound` for an unknown name."""
    check_policy(name)
    if name in TAILORED:
        return Tailored(budget, clock, TAILORED[name], name)
    base_name, on_arrival, _ = name.partition(ON_ARRIVAL)
    return RIVALS[base_name](Inputs(budget, clock, rng), bool(on_arrival))


def how_built() -> str:
    """Return "compiled" or "interpreted": what the policies of this process are."""
    return "interpreted" if tailored.__file__.endswith(".py") else "compiled"
