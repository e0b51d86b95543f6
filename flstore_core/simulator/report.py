"""Compares policies on one trace."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

from flstore_core.cache.ledger import Ledger
from flstore_core.cache.tally import Tally
from flstore_core.errors import unknown
from flstore_core.patterns import Pattern
from flstore_core.policies.registry import BELADY, make_policy, policy_names
from flstore_core.simulator.events import Trace
from flstore_core.simulator.offline import replay_belady
from flstore_core.simulator.replay import TraceClock, replay


@dataclass(frozen=True)
class Result:
    """The counters of one policy on a trace."""

    policy: str
    overall: Tally
    patterns: dict[Pattern, Tally]
    seconds: float
    """CPU time for the whole trace."""

    def to_json(self) -> dict[str, Any]:
        """Return the counters and rates of all patterns together and of each."""
        return {
            "overall": self.overall.to_json(),
            **{name.value: tally.to_json() for name, tally in self.patterns.items()},
        }


def simulated_policies() -> list[str]:
    """Return the names that `simulate` knows."""
    return [*policy_names(), BELADY]


def simulate(trace: Trace, policies: Iterable[str], budget: int, seed: int = 0) -> list[Result]:
    """Replay `trace` through each of `policies` within `budget` bytes.

    `seed` is for policies that choose at random.

    Raises:
        NotFound: for an unknown policy.
        InsufficientCapacity: for a budget smaller than one object.
    """
    names = list(policies)
    for name in names:
        if name not in simulated_policies():
            raise unknown("policy", name, simulated_policies())
    return [_run(trace, name, budget, seed) for name in names]


def to_json(results: Sequence[Result]) -> dict[str, Any]:
    """Return what `flstore simulate --json` writes."""
    return {"policies": {result.policy: result.to_json() for result in results}}


def _run(trace: Trace, name: str, budget: int, seed: int) -> Result:
    began = process_time()
    ledger = _replay(trace, name, budget, seed)
    return Result(name, ledger.overall(), dict(ledger.tallies), process_time() - began)


def _replay(trace: Trace, name: str, budget: int, seed: int) -> Ledger:
    if name == BELADY:
        return replay_belady(trace, budget, seed)
    clock = TraceClock()
    return replay(trace, make_policy(name, budget, clock, random.Random(seed)), budget, clock)
