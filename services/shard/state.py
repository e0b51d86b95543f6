"""The parts of one running shard, and how they are wired together."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from anyio import CapacityLimiter
from prometheus_client.registry import CollectorRegistry

from flstore_core.cache import Cache, Ledger, Shadows
from flstore_core.policies.base import Policy
from flstore_core.policies.registry import make_policy
from flstore_core.shard.engine import Engine
from flstore_core.shard.loader import Slice
from flstore_core.storage import ObjectStore
from services.common.activity import Activity
from services.common.startup import Startup
from services.shard.metrics import registry_of
from services.shard.prefetcher import Prefetcher
from services.shard.settings import Settings

SHADOWS = ("tailored", "lru+arrival", "lfu+arrival", "s3-fifo+arrival", "gdsf+arrival")
"""Policies whose hits are counted as if they were in charge. The one that is in charge is left out.
Chosen by hand: each costs memory and time."""


@dataclass(frozen=True)
class State:
    """What a shard's endpoints share."""

    settings: Settings
    store: ObjectStore
    engine: Engine
    registry: CollectorRegistry
    startup: Startup
    activity: Activity
    prefetcher: Prefetcher
    limiter: CapacityLimiter
    """Limits the threads that compute."""

    def should_leave(self) -> bool:
        """Return whether nobody has asked for anything during the idle window."""
        return self.activity.idle_for(self.settings.idle_seconds)


def create_state(settings: Settings, store: ObjectStore, clock: Callable[[], float]) -> State:
    """Return the parts of a shard; `clock` gives seconds that never go back."""
    engine = Engine(store, _cache(settings, clock))
    startup, activity = Startup(settings.shard), Activity(clock)
    return State(
        settings=settings,
        store=store,
        engine=engine,
        registry=registry_of(engine, startup, settings.shard),
        startup=startup,
        activity=activity,
        prefetcher=Prefetcher(settings.shard, store, engine, activity),
        limiter=CapacityLimiter(settings.compute_threads),
    )


def _cache(settings: Settings, clock: Callable[[], float]) -> Cache[Slice]:
    budget = settings.cache_bytes

    def policy(name: str) -> Policy:
        return make_policy(name, budget, clock, random.Random(settings.shard))

    shadows = Shadows({name: policy(name) for name in SHADOWS if name != settings.policy}, budget, clock)
    return Cache(Ledger(policy(settings.policy), budget, clock), shadows)
