"""The loop: observe the jobs and shards, plan, act on the runtime, publish the table."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import replace

from flstore_core.errors import FLStoreError, NotFound, PreconditionFailed, Unavailable
from flstore_core.ids import JobId, ShardId
from flstore_core.placement import Observed, Plan, Planner, Shard, Table, shards_needed
from flstore_core.records import Job
from flstore_core.retry import Retry, growing
from services.placement.board import Board
from services.placement.memory import Memory
from services.placement.metrics import Metrics
from services.placement.runtime import Kind, Runtime, ShardSpec

logger = logging.getLogger(__name__)

SWAP_ATTEMPTS = 10


class Controller:
    """Keeps shards and table as the jobs need them. The table is one object, so all changes to it are serial."""

    def __init__(
        self,
        memory: Memory,
        runtime: Runtime,
        specs: Sequence[ShardSpec],
        board: Board,
        metrics: Metrics,
        *,
        elastic: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """With `elastic`, only as many of `specs` are made as the jobs need: each costs something, even at zero."""
        self._memory = memory
        self._runtime = runtime
        self._specs = specs
        self._board = board
        self._metrics = metrics
        self._elastic = elastic
        self._sleep = sleep
        self._jobs: dict[JobId, Job] = {}
        self._planner = Planner()
        self._serial = asyncio.Lock()
        self._stored: tuple[Table, str | None] | None = None
        self.ready = False
        """Whether a table has been published since the start."""

    async def run(self, resync_s: float) -> None:
        """Look at the store now and every `resync_s` seconds; after a failure sooner, in growing pauses.

        What was known from an earlier run counts for nothing: another controller may have acted meanwhile.
        """
        async with self._serial:
            self._jobs.clear()
            self._stored = None
            self.ready = False
        attempts = Retry(growing(0.2, resync_s)).begin()
        while True:
            try:
                await self.resync()
                attempts.succeeded()
            except FLStoreError as error:
                attempts.failed()
                self._metrics.plan_errors.labels(error.code).inc()
                logger.warning("placement could not be reconciled: %s", error)
            await self._sleep(attempts.pause_s or resync_s)

    async def resync(self) -> None:
        """Take up the jobs that are in the store, and drop those that are not."""
        async with self._serial:
            await self._take_up()
            await self._reconcile()
            self.ready = True

    async def _take_up(self) -> None:
        names = await asyncio.to_thread(self._memory.job_ids)
        for gone in self._jobs.keys() - names:
            del self._jobs[gone]
        for new in names - self._jobs.keys():
            if job := await asyncio.to_thread(self._memory.job, new):
                self._jobs[new] = job

    async def place(self, job: JobId) -> Table:
        """Place `job` by its record in the store and return the table that says where.

        Raises `NotFound` when it has no record, and what the planner says when it can have no place.
        """
        async with self._serial:
            record = await asyncio.to_thread(self._memory.job, job)
            if record is None:
                raise NotFound(f"job {job!r} has no record in the store; create it first")
            if not self.ready:
                await self._take_up()  # lest the table lose the jobs that are not known yet
            known = self._jobs.get(job)
            self._jobs[job] = record
            planned = await self._reconcile()
            if refusal := planned.refused.get(job):
                if known is None:
                    del self._jobs[job]
                raise refusal
            return self._board.table

    async def forget(self, job: JobId) -> None:
        """Take `job` out of the table; do nothing when it is not there."""
        async with self._serial:
            if not self.ready:
                await self._take_up()
            self._jobs.pop(job, None)
            await self._reconcile()

    async def _reconcile(self) -> Plan:
        """Make runtime and table follow the plan; when another controller changed the table, plan again from that."""
        specs = await self._needed()
        shards, predictors = await self._ensure(specs)
        for _ in range(SWAP_ATTEMPTS):
            try:
                planned = await self._publish(shards, predictors)
                await self._retire({spec.id for spec in specs})
                return planned
            except PreconditionFailed:
                self._metrics.conflicts.inc()
                self._stored = None
        raise Unavailable(f"the placement table changed {SWAP_ATTEMPTS} times while it was being replaced; try again")

    async def _needed(self) -> tuple[ShardSpec, ...]:
        """Return the specs that the jobs need: all of them, unless elastic."""
        if not self._elastic:
            return tuple(self._specs)
        shards = [spec for spec in self._specs if spec.kind is Kind.SHARD]
        count = shards_needed(self._jobs.values(), shards[0].cache_bytes, len(shards))
        predictors = [spec for spec in self._specs if spec.kind is Kind.PREDICTOR]
        if predictors and not await asyncio.to_thread(lambda: any(map(self._memory.has_program, tuple(self._jobs)))):
            predictors = []
        return (*shards[:count], *predictors)

    async def _retire(self, wanted: Set[ShardId]) -> None:
        """Remove what is not wanted any more; the table does not name it by now."""
        for state in await self._runtime.states():
            if state.shard not in wanted:
                await self._runtime.remove(state.shard)

    async def _ensure(self, specs: Sequence[ShardSpec]) -> tuple[tuple[Shard, ...], Mapping[ShardId, str]]:
        """Make shards and predictors exist; return the shards, and the predictors' addresses."""
        urls = {spec: await self._runtime.ensure(spec) for spec in specs}
        shards = tuple(Shard(spec.id, spec.cache_bytes, url) for spec, url in urls.items() if spec.kind is Kind.SHARD)
        return shards, {spec.id: url for spec, url in urls.items() if spec.kind is Kind.PREDICTOR}

    async def _publish(self, shards: tuple[Shard, ...], predictors: Mapping[ShardId, str]) -> Plan:
        if self._stored is None:
            self._stored = await asyncio.to_thread(self._memory.table)
        stored, etag = self._stored
        planned = self._planner.plan(Observed(shards, tuple(self._jobs.values()), stored.jobs))
        self._report(planned)
        table = Table(stored.version, {shard.id: shard for shard in shards}, planned.jobs, predictors)
        if table != stored or etag is None:
            table = replace(table, version=stored.version + 1)
            etag = await asyncio.to_thread(self._memory.swap_table, table, etag)
        self._stored = (table, etag)
        if table != self._board.table:
            self._board.post(table)
            self._metrics.table_version.set(table.version)
            logger.info("table %d is in force", table.version, extra={"jobs": len(table.jobs), "shards": len(shards)})
        return planned

    def _report(self, planned: Plan) -> None:
        for job, refusal in planned.refused.items():
            self._metrics.plan_errors.labels(refusal.code).inc()
            logger.warning("job %s has no place: %s", job, refusal)
