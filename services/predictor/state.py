"""The parts of one running predictor, and how they are wired together."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from flstore_core.cache import Cache, Ledger
from flstore_core.models.engine import Engine
from flstore_core.models.running import Limits
from flstore_core.policies.registry import make_policy
from flstore_core.storage import ObjectStore
from services.common.activity import Activity
from services.predictor.confined.launch import Launcher
from services.predictor.confined.pool import Pool
from services.predictor.settings import Settings
from services.predictor.versions import Versions

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Computing:
    """What computes for requests: some threads, and the processes of programs."""

    settings: Settings
    processes: Pool
    activity: Activity
    limiter: CapacityLimiter
    """Limits the threads that compute."""

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the work of a data request in a thread, and count the request as activity."""
        with self.activity.request():
            return await to_thread.run_sync(lambda: function(*args, **kwargs), limiter=self.limiter)


@dataclass(frozen=True)
class State(Computing):
    """What a predictor's endpoints share."""

    store: ObjectStore
    engine: Engine
    versions: Versions

    def should_leave(self) -> bool:
        """Return whether nobody has asked for anything during the idle window."""
        return self.activity.idle_for(self.settings.idle_seconds)


def create_state(
    settings: Settings, store: ObjectStore, clock: Callable[[], float], launcher: Launcher | None = None
) -> State:
    """Return the parts of a predictor.

    Args:
        clock: seconds, never going back.
        launcher: of the processes that programs run in, if it is shared.
    """
    policy = make_policy(settings.policy, settings.cache_bytes, clock, random.Random(settings.predictor))
    limits = Limits(settings.run_seconds, settings.run_bytes)
    processes = Pool(
        launcher or Launcher(device=settings.device), settings.bounds(), settings.run_bytes, settings.processes, clock
    )
    engine = Engine(store, Cache(Ledger(policy, settings.cache_bytes, clock)), processes, limits)
    return State(
        settings=settings,
        store=store,
        engine=engine,
        processes=processes,
        versions=Versions(store, engine, clock, settings.refresh_seconds),
        activity=Activity(clock),
        limiter=CapacityLimiter(settings.compute_threads),
    )
