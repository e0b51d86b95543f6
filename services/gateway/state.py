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
from services.gateway.answers.execution import Asked
from services.gateway.answers.operations import Operation, Operations
from services.gateway.answers.run import Runner
from services.gateway.auth import Tokens
from services.gateway.backends.caches import Caches
from services.gateway.backends.calls import Calls
from services.gateway.backends.placement import Placement
from services.gateway.backends.predictors import Predictors
from services.gateway.backends.shards import Shards
from services.gateway.jobs import Jobs
from services.gateway.metrics import GatewayMetrics
from services.gateway.programs import Models
from services.gateway.rounds.commit import Commit
from services.gateway.rounds.erase import Eraser
from services.gateway.rounds.index import Catalog
from services.gateway.rounds.ingest import Ingest
from services.gateway.rounds.records import Document, Rounds
from services.gateway.routes.budget import ByteBudget
from services.gateway.settings import Settings
from services.gateway.threads import Pool, Workers


@dataclass
class State:
    """What the endpoints share."""

    settings: Settings
    store: ObjectStore
    tokens: Tokens
    uploads: ByteBudget
    catalog: Catalog
    jobs: Jobs
    rounds: Rounds
    ingest: Ingest
    commit: Commit
    eraser: Eraser
    models: Models
    runner: Runner
    operations: Operations
    placement: Placement
    caches: Caches
    calls: Calls
    metrics: GatewayMetrics
    workers: Workers
    pools: tuple[Pool, ...]

    def close(self) -> None:
        """Let go of threads and connections."""
        for pool in self.pools:
            pool.shutdown(wait=False, cancel_futures=True)
        self.calls.close()
        self.placement.close()
        self.store.close()


def create_state(settings: Settings, store: ObjectStore) -> State:
    """Return the parts of a gateway over `store`."""
    readers, refreshers, writers, callers, background = (
        Pool(count, thread_name_prefix=name)
        for name, count in (("read", 16), ("refresh", 4), ("write", 32), ("call", 64), ("operation", 4))
    )
    policy = make_policy("lru+arrival", settings.records_bytes, time.monotonic, random.Random(0))
    records: Cache[Document] = Cache(Ledger(policy, settings.records_bytes, time.monotonic))
    catalog = Catalog(store, readers, refreshers, time.monotonic, settings.refresh_seconds, records.discard_job)
    rounds = Rounds(store, catalog, records, readers)
    placement = Placement(settings.placement_url, store)
    calls = Calls(settings.shard_timeout_seconds, time.monotonic, time.sleep)
    shards, caches = Shards(calls), Caches(calls)
    commit = Commit(store, catalog, rounds, placement, shards, callers, time.time)
    models = Models(store, rounds, placement, Predictors(calls))
    workers = Workers(settings.threads)
    runner = Runner(store, catalog, rounds, commit, placement, shards, callers, models, time.perf_counter)

    def work(operation: Operation, progress: Progress) -> Any:
        return runner.run(operation.job, operation.workload, operation.params, Asked(progress=progress)).to_json()

    return State(
        settings=settings,
        store=store,
        tokens=Tokens(settings.tokens),
        uploads=ByteBudget(settings.in_flight_bytes, settings.upload_limit),
        catalog=catalog,
        jobs=Jobs(store, catalog, placement, caches),
        rounds=rounds,
        ingest=Ingest(store, rounds, placement, shards, writers, time.time, time.sleep),
        commit=commit,
        eraser=Eraser(store, catalog, rounds, placement, caches, time.time),
        models=models,
        runner=runner,
        operations=Operations(store, background, time.time, work),
        placement=placement,
        caches=caches,
        calls=calls,
        metrics=GatewayMetrics(rounds.cache),
        workers=workers,
        pools=(workers.pool, readers, refreshers, writers, callers, background),
    )


def state_of(request: Request) -> State:
    """Return the state of the app that got `request`."""
    state: State = request.app.state.gateway
    return state
