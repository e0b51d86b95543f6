"""The parts of a running gateway, wired together."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request

from flstore_core.cache import Cache, Ledger
from flstore_core.errors import NotFound
from flstore_core.files import new_name
from flstore_core.ids import Home
from flstore_core.policies.registry import make_policy
from flstore_core.shard import working_set
from flstore_core.storage import ObjectStore
from flstore_core.workloads import Progress
from services.common.proof import Keys
from services.common.timing import RealTime, Time
from services.gateway.answers import artifacts
from services.gateway.answers.aggregates import Aggregates
from services.gateway.answers.early_models import PATIENCE_S, EarlyModels
from services.gateway.answers.limits import Limits
from services.gateway.answers.operation_records import Operation
from services.gateway.answers.operations import Operations
from services.gateway.answers.question import Options
from services.gateway.answers.results import Results
from services.gateway.answers.run import Runner
from services.gateway.auth import Tokens
from services.gateway.backends.caches import Caches
from services.gateway.backends.calls import Calls
from services.gateway.backends.outbox import LANE_SHARE, Outbox
from services.gateway.backends.placement import Placement
from services.gateway.backends.predictors import Predictors
from services.gateway.backends.shards import Shards
from services.gateway.backends.slices import Backends
from services.gateway.chronicle import Chronicle
from services.gateway.jobs import Jobs
from services.gateway.metrics import ColdStarts, GatewayMetrics
from services.gateway.programs import Programs
from services.gateway.rounds.commit import Commit
from services.gateway.rounds.erase import Derived, Eraser
from services.gateway.rounds.index import Catalog, UnknownJob
from services.gateway.rounds.ingest import Ingest
from services.gateway.rounds.newest import Newest
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.records import Document, Records
from services.gateway.rounds.statistics import Statistics
from services.gateway.rounds.withdraw import Withdrawals
from services.gateway.routes.uploads import ByteBudget
from services.gateway.settings import Settings
from services.gateway.threads import Pools, Workers, start_lane
from services.gateway.tickets import Tickets

NO_KEYS = Keys()


@dataclass
class State:
    """What the endpoints share."""

    settings: Settings
    tokens: Tokens
    tickets: Tickets
    uploads: ByteBudget
    rounds: Rounds
    backends: Backends
    jobs: Jobs
    ingest: Ingest
    newest: Newest
    commit: Commit
    eraser: Eraser
    withdrawals: Withdrawals
    programs: Programs
    runner: Runner
    aggregates: Aggregates
    early_models: EarlyModels
    operations: Operations
    metrics: GatewayMetrics
    chronicle: Chronicle
    workers: Workers
    pools: Pools

    def close(self) -> None:
        """Let go of threads and connections."""
        self.early_models.wait_for_all()
        self.workers.shut_down()
        self.pools.shut_down()
        self.backends.close()
        self.rounds.store.close()


def create_state(settings: Settings, store: ObjectStore, keys: Keys) -> State:
    """Return the parts of a gateway over `store`. It signs its calls of backends with the first of `keys`."""
    pools, time = Pools.start(), RealTime()
    cold_starts = ColdStarts()
    calls = Calls(settings.shard_timeout_seconds, time, keys=keys, note_age=cold_starts.note)
    placement = Placement(settings.placement_url, store, keys=keys)
    shards = Shards(calls)
    outbox = Outbox(shards, start_lane, time.monotonic, settings.in_flight_bytes // LANE_SHARE)
    backends = Backends(placement, shards, Predictors(calls), Caches(calls), pools.callers, outbox)
    state = assemble(settings, store, backends, pools, time, keys)
    state.metrics.registry.register(cold_starts.seconds)
    return state


def assemble(
    settings: Settings,
    store: ObjectStore,
    backends: Backends,
    pools: Pools,
    time: Time,
    keys: Keys = NO_KEYS,
    name: Callable[[], str] = new_name,
    early_patience_s: float = PATIENCE_S,
) -> State:
    """Return the parts of a gateway over any store, backends, threads, time and names, those of a test included."""
    policy = make_policy("lru+arrival", settings.records_bytes, time.monotonic, random.Random(0))
    cache: Cache[Document] = Cache(Ledger(policy, settings.records_bytes, time.monotonic))
    records, results = Records(store, cache, pools.readers), Results()
    newest = Newest(settings.models_bytes)

    def forget(home: Home) -> None:
        records.forget(home)
        results.forget(home)
        newest.forget(home)

    rounds = Rounds.over(store, Catalog(store, pools, time, settings.refresh_seconds, forget), records)
    statistics = Statistics(rounds, backends)
    programs = Programs(store, time, name)
    limits = Limits(settings.question_bytes, settings.question_operations)
    metrics, chronicle = GatewayMetrics(cache, newest), Chronicle(time.now)
    runner = Runner(rounds, statistics, programs, backends, time, limits, results)

    def stands(operation: Operation) -> bool:
        try:
            return rounds.generations.read(operation.job).generation == operation.generation
        except NotFound:
            return False

    def work(operation: Operation, progress: Progress) -> Any:
        if rounds.catalog.refresh(operation.job).job.generation != operation.generation:  # see `Operations`
            raise UnknownJob(operation.job)
        options = Options(progress=progress, may_write=not operation.read_only)
        outcome = runner.run(operation.job, operation.workload, operation.params, options)
        chronicle.note_answer(outcome)
        return outcome.to_json()

    operations = Operations(store, pools.background, time, work, stands)
    derived = (
        Derived("artifacts", partial(artifacts.find_made_of, store), partial(artifacts.forget_client, store)),
        Derived("operations", lambda *_: (), operations.forget_client),
        Derived("working_sets", lambda *_: (), lambda job, client, _: working_set.forget_client(store, job, client)),
    )
    ingest, early_models = (
        Ingest(rounds, backends, pools, time, newest, name),
        EarlyModels(pools.keepers, early_patience_s),
    )
    return State(
        settings=settings,
        tokens=Tokens(settings.tokens, settings.metrics_token),
        tickets=Tickets(keys, time.now),
        uploads=ByteBudget(settings.in_flight_bytes, settings.upload_limit),
        rounds=rounds,
        backends=backends,
        jobs=Jobs(rounds, backends, time),
        ingest=ingest,
        newest=newest,
        commit=Commit(rounds, statistics, backends, time),
        eraser=Eraser(rounds, backends, time, name, derived),
        withdrawals=Withdrawals(rounds, time, name),
        programs=programs,
        runner=runner,
        aggregates=Aggregates(runner, rounds, ingest, early_models),
        early_models=early_models,
        operations=operations,
        metrics=metrics,
        chronicle=chronicle,
        workers=Workers(settings.threads),
        pools=pools,
    )


def state_of(request: Request) -> State:
    """Return the state of the app that got `request`."""
    state: State = request.app.state.gateway
    return state
