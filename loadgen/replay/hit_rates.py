"""Hit rates of an excerpt, live and simulated, pattern by pattern."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flstore_core.cache import Ledger
from flstore_core.client import FLStore
from flstore_core.errors import InvalidParameters
from flstore_core.patterns import Pattern
from flstore_core.policies import Policy
from flstore_core.policies.registry import make_policy
from flstore_core.simulator.replay import TraceClock, replay
from loadgen.replay.excerpt import Excerpt, split_by_backend, timed
from loadgen.replay.player import Moment, Player, inventories, live_counts

TOLERANCE = 0.01
"""Largest difference between a live and a simulated hit rate that counts as agreement."""
RECORDS_BYTES = 256 * 2**20
"""Budget of the gateway's cache: its default."""

Counts = Mapping[Pattern, tuple[int, int]]
"""Requests and hits by pattern."""


@dataclass(frozen=True)
class HitRates:
    """Hit rates of one pattern, or of all."""

    name: str
    requests: int
    live: float
    simulated: float
    traced: float
    """Simulated at the trace's own times and sizes, with its workloads' names and the metadata in the same cache."""

    @property
    def agree(self) -> bool:
        """Whether live and simulated rates agree: one request may differ where a hundredth of them is less than one."""
        # A little more than 1, since the difference of two rates is rounded.
        return abs(self.live - self.simulated) <= max(TOLERANCE, 1.001 / self.requests)


def compare(client: FLStore, excerpt: Excerpt, rounds: float, policy: str, speed: float) -> list[HitRates]:
    """Replay `excerpt` live, then in the simulator at the live run's times; return hit rates by pattern and of all.

    Args:
        rounds: budget of the cache, in rounds of the model.
        speed: seconds of the trace in a second.
    """
    moments = Player(client, excerpt, speed).play()
    caches = client.cache()
    _check(inventories(caches), excerpt.budget(rounds))
    live = live_counts(caches)
    simulated = _simulated(excerpt, moments, excerpt.budget(rounds), policy)
    traced = _counts(replay(excerpt.original, *_managed(policy, excerpt.original_budget(rounds))))
    requested = [pattern for pattern in Pattern if simulated[pattern][0]]
    groups = [*((pattern.value, [pattern]) for pattern in requested), ("all", requested)]
    return [_row(name, patterns, live, simulated, traced) for name, patterns in groups]


def _simulated(excerpt: Excerpt, moments: Sequence[Moment], budget: int, policy: str) -> Counts:
    shard, _ = split_by_backend(timed(excerpt, [moment.shard for moment in moments]))
    _, gateway = split_by_backend(timed(excerpt, [moment.player for moment in moments]))
    shards = _counts(replay(shard, *_managed(policy, budget)))
    gateways = _counts(replay(gateway, *_managed("tailored", RECORDS_BYTES)))
    return {**shards, Pattern.P4: gateways[Pattern.P4]}


def _counts(ledger: Ledger) -> Counts:
    return {pattern: (tally.requests, tally.hits) for pattern, tally in ledger.tallies.items()}


def _managed(policy: str, budget: int) -> tuple[Policy, int, TraceClock]:
    clock = TraceClock()
    return make_policy(policy, budget, clock, random.Random(0)), budget, clock


def _row(name: str, patterns: list[Pattern], live: Counts, *simulated: Counts) -> HitRates:
    requests = sum(simulated[0][pattern][0] for pattern in patterns)
    counted = sum(live[pattern][0] for pattern in patterns)
    if counted != requests:
        raise InvalidParameters(f"the target counted {counted} requests of {requests}; use a fresh one")
    rates = [sum(counts[pattern][1] for pattern in patterns) / requests for counts in (live, *simulated)]
    return HitRates(name, requests, *rates)


def _check(shards: list[dict[str, Any]], budget: int) -> None:
    budgets = [shard["budget_bytes"] for shard in shards]
    if budgets != [budget]:
        raise InvalidParameters(f"the target's shards have budgets of {budgets} bytes; use one shard of {budget}")
