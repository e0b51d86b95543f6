"""The parts of a running gateway, wired together."""

import random
import time
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from flstore_core.cache import Cache, Ledger
from flstore_core.policies.registry import make_policy
from flstore_core.storage import ObjectStore
from flstore_core.workloads import Progress
from services.common.timing import RealTime
from services.gateway.answers.operation_records import Operation
from services.gateway.answers.operations import Operations
from services.gateway.answers.question import Options
from services.gateway.answers.run import Runner
from services.gateway.auth import Tokens
from services.gateway.backends.caches import Caches
from services.gateway.backends.calls import Calls
from services.gateway.backends.placement import Placement
from services.gateway.backends.predictors import Predictors
from services.gateway.backends.shards import Shards
from services.gateway.backends.slices import Backends
from services.gateway.jobs import Jobs
from services.gateway.metrics import GatewayMetrics
from services.gateway.programs import Programs
from services.gateway.rounds.commit import Commit
from services.gateway.rounds.erase import Eraser
from services.gateway.rounds.index import Catalog
from services.gateway.rounds.ingest import Ingest
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.records import Document, Records
from services.gateway.rounds.statistics import Statistics
from services.gateway.routes.budget import ByteBudget
from services.gateway.settings import Settings
from services.gateway.threads import Pools, Workers


@dataclass
class State:
    """What the endpoints share."""

    settings: Settings
    store: ObjectStore
    tokens: Tokens
    uploads: ByteBudget
    rounds: Rounds
    jobs: Jobs
    ingest: Ingest
    commit: Commit
    eraser: Eraser
    programs: Programs
    runner: Runner
    operations: Operations
    placement: Placement
    caches: Caches
    calls: Calls
    metrics: GatewayMetrics
    workers: Workers
    pools: Pools

    def close(self) -> None:
        """Let go of threads and connections."""
        self.workers.shut_down()
        self.pools.shut_down()
        self.calls.close()
        self.placement.close()
        self.store.close()


def create_state(settings: Settings, store: ObjectStore) -> State:
    """Return the parts of a gateway over `store`."""
    pools, real_time = Pools.start(), RealTime()
    policy = make_policy("lru+arrival", settings.records_bytes, time.monotonic, random.Random(0))
    cache: Cache[Document] = Cache(Ledger(policy, settings.records_bytes, time.monotonic))
    catalog = Catalog(store, pools, real_time, settings.refresh_seconds, cache.discard_job)
    rounds = Rounds.over(store, catalog, Records(store, cache, pools.readers))
    placement = Placement(settings.placement_url, store)
    calls = Calls(settings.shard_timeout_seconds, time.monotonic, time.sleep)
    caches = Caches(calls)
    backends = Backends(placement, Shards(calls), Predictors(calls), caches, pools.callers)
    statistics = Statistics(rounds.records, backends)
    programs = Programs(store, real_time)
    workers = Workers(settings.threads)
    runner = Runner(rounds, statistics, programs, backends, time.perf_counter)

    def work(operation: Operation, progress: Progress) -> Any:
        return runner.run(operation.job, operation.workload, operation.params, Options(progress=progress)).to_json()

    return State(
        settings=settings,
        store=store,
        tokens=Tokens(settings.tokens),
        uploads=ByteBudget(settings.in_flight_bytes, settings.upload_limit),
        rounds=rounds,
        jobs=Jobs(store, catalog, placement, caches),
        ingest=Ingest(rounds, backends, pools, real_time),
        commit=Commit(rounds, statistics, backends, real_time),
        eraser=Eraser(rounds, backends, real_time),
        programs=programs,
        runner=runner,
        operations=Operations(store, pools.background, time.time, work),
        placement=placement,
        caches=caches,
        calls=calls,
        metrics=GatewayMetrics(cache),
        workers=workers,
        pools=pools,
    )


def state_of(request: Request) -> State:
    """Return the state of the app that got `request`."""
    state: State = request.app.state.gateway
    return state
