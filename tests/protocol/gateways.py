"""Gateways that meet in one store and share one shard: all of their code, without HTTP, threads or time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from random import Random

from flstore_core.errors import Unavailable
from flstore_core.ids import Home, JobId
from flstore_core.placement.base import Assignment
from services.common.timing import Time
from services.gateway.answers.aggregates import Aggregates
from services.gateway.answers.early_models import EarlyModel, EarlyModels
from services.gateway.backends.caches import Caches
from services.gateway.backends.calls import Calls
from services.gateway.backends.outbox import Outbox
from services.gateway.backends.predictors import Predictors
from services.gateway.backends.shards import Shards
from services.gateway.backends.slices import Backends
from services.gateway.jobs import Jobs
from services.gateway.settings import Settings
from services.gateway.state import State, assemble
from tests.fakes.backends import FakePlacement
from tests.fakes.engines import EngineWire
from tests.fakes.executors import HeldExecutor, InlineExecutor
from tests.fakes.interleaving import Scheduler
from tests.fakes.store import Call
from tests.fakes.wire import FakeWire
from tests.gateway.rounds.world import inline_pools
from tests.protocol.history import History
from tests.protocol.store import FaultyStore
from tests.protocol.treatments import PLACE

STEP_S = 0.01
"""Seconds that pass with each step of a schedule."""
MOST_LOOKS = 300
"""After which whoever waits for another request gives up."""
SKEWS = (0.0, 0.0, -61.0, 61.0, 3600.0)
JUMPS = (0.0, -3600.0, 90.0, 86400.0)


class SkewedTime:
    """A gateway's clock: it is wrong from the beginning, and may jump whenever it is looked at."""

    def __init__(self, scheduler: Scheduler, history: History, chance: Random) -> None:
        self.sleep = scheduler.sleep
        self._history, self._chance = history, chance
        self._skew = chance.choice(SKEWS)

    def now(self) -> float:
        if self._chance.randrange(50) == 0:
            self._skew = self._chance.choice(JUMPS)
        return 1000.0 + self.monotonic() + self._skew

    def monotonic(self) -> float:
        return self._history.step * STEP_S


@dataclass
class Gateway:
    """One gateway."""

    state: State
    refresh_seconds: float
    keepers: "Keepers"
    crashed: bool = False
    """All of its requests end where they are."""


class UnreliablePlacement(FakePlacement):
    """A controller whose answers to gateways that place a job have accidents."""

    store: FaultyStore

    def place(self, job: JobId) -> Assignment:
        return self.store.treat(Call(PLACE, job), lambda: super(UnreliablePlacement, self).place(job))


class Keepers(HeldExecutor):
    """What a gateway stores after its answers: every other time when nobody else can go on."""

    def __init__(self, store: FaultyStore) -> None:
        super().__init__()
        self._store, self._turns = store, count()

    def run_all(self) -> None:
        if len(self) and next(self._turns) % 2 == 0:
            self._store.wait_for_others()
        super().run_all()


class WatchedModels(EarlyModels):
    """Early models; whoever waits for one looks again and again, so that others go on."""

    def __init__(self, keepers: Keepers, time: Time) -> None:
        super().__init__(keepers, patience_s=0.0)
        self._sleep = time.sleep

    def wait(self, home: Home, number: int) -> EarlyModel | None:
        model = self._models.get((home, number))
        for _ in range(MOST_LOOKS):
            if model is None or model.stored.done():
                return model if model and model.stored.result() else None
            self._sleep(STEP_S)
        raise Unavailable("nobody else has gone on: a client whose turn always comes first would wait for ever")


@dataclass(frozen=True)
class Site:
    """What all gateways of a schedule have in common."""

    store: FaultyStore
    names: Iterator[int]
    """Of uploads, removals and generations: never the same twice."""
    shard: EngineWire

    @classmethod
    def over(cls, store: FaultyStore, names: Iterator[int]) -> "Site":
        return cls(store, names, EngineWire(store.calm(), lambda: 0.0))

    def start_gateway(self, time: Time, refresh_seconds: float) -> Gateway:
        calls = Calls(60.0, time, FakeWire(self.shard))
        placement = UnreliablePlacement()
        placement.store = self.store
        shards = Shards(calls)
        outbox = Outbox(shards, InlineExecutor, time.monotonic, 1 << 30)
        backends = Backends(placement, shards, Predictors(calls), Caches(calls), InlineExecutor(), outbox)
        settings, keepers = Settings(refresh_seconds=refresh_seconds), Keepers(self.store)
        pools = replace(inline_pools(), keepers=keepers)
        state = assemble(settings, self.store, backends, pools, time, name=self._name("u"))
        state.early_models = WatchedModels(keepers, time)
        state.aggregates = Aggregates(state.runner, state.rounds, state.ingest, state.early_models)
        state.jobs = Jobs(state.rounds, backends, time, self._name("g"))
        return Gateway(state, refresh_seconds, keepers)

    def _name(self, letter: str) -> Callable[[], str]:
        return lambda: f"{letter}{next(self.names)}"
