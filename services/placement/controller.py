"""The loop: observe the jobs and shards, plan, act on the runtime, publish the table."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from flstore_core.backoff import Backoff
from flstore_core.errors import FLStoreError, NotFound, PreconditionFailed, Unavailable
from flstore_core.ids import JobId
from flstore_core.placement import Observed, Plan, Shard, Table, plan
from flstore_core.records import Job
from services.placement.board import Board
from services.placement.memory import Memory
from services.placement.metrics import Metrics
from services.placement.runtime import Runtime, ShardSpec

logger = logging.getLogger(__name__)

SWAP_ATTEMPTS = 10


class Controller:
    """Keeps shards and table as the jobs need them. The table is one object, so all changes to it are serial."""

    def __init__(
        self, memory: Memory, runtime: Runtime, specs: Sequence[ShardSpec], board: Board, metrics: Metrics
    ) -> None:
        self._memory = memory
        self._runtime = runtime
        self._specs = specs
        self._board = board
        self._metrics = metrics
        self._jobs: dict[JobId, Job] = {}
        self._serial = asyncio.Lock()
        self._stored: tuple[Table, str | None] | None = None
        self.ready = False
        """Whether a table has been published since the start."""

    async def run(self, resync_s: float) -> None:
        """Look at the store now and every `resync_s` seconds; after a failure sooner, in growing pauses."""
        backoff = Backoff(first_s=0.2, most_s=resync_s)
        while True:
            try:
                await self.resync()
                backoff.succeeded()
            except FLStoreError as error:
                backoff.failed()
                self._metrics.plan_errors.labels(error.code).inc()
                logger.warning("placement could not be reconciled: %s", error)
            await asyncio.sleep(backoff.delay_s or resync_s)

    async def resync(self) -> None:
        """Take up the jobs that are in the store, and drop those that are not."""
        async with self._serial:
            names = await asyncio.to_thread(self._memory.job_ids)
            for gone in self._jobs.keys() - names:
                del self._jobs[gone]
            for new in names - self._jobs.keys():
                if job := await asyncio.to_thread(self._memory.job, new):
                    self._jobs[new] = job
            await self._reconcile()
            self.ready = True

    async def place(self, job: JobId) -> Table:
        """Place `job` by its record in the store and return the table that says where.

        Raises `NotFound` when it has no record, and what the planner says when it can have no place.
        """
        async with self._serial:
            record = await asyncio.to_thread(self._memory.job, job)
            if record is None:
                raise NotFound(f"job {job!r} has no record in the store; create it first")
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
            self._jobs.pop(job, None)
            await self._reconcile()

    async def _reconcile(self) -> Plan:
        """Make runtime and table follow the plan; when another controller changed the table, plan again from that."""
        shards = await self._ensure()
        for _ in range(SWAP_ATTEMPTS):
            try:
                return await self._publish(shards)
            except PreconditionFailed:
                self._metrics.conflicts.inc()
                self._stored = None
        raise Unavailable(f"the placement table changed {SWAP_ATTEMPTS} times while it was being replaced; try again")

    async def _ensure(self) -> tuple[Shard, ...]:
        wanted = {spec.id for spec in self._specs}
        for state in await self._runtime.states():
            if state.shard not in wanted:
                await self._runtime.remove(state.shard)
        return tuple([Shard(spec.id, spec.cache_bytes, await self._runtime.ensure(spec)) for spec in self._specs])

    async def _publish(self, shards: tuple[Shard, ...]) -> Plan:
        if self._stored is None:
            self._stored = await asyncio.to_thread(self._memory.table)
        stored, etag = self._stored
        planned = plan(Observed(shards, tuple(self._jobs.values()), stored.jobs))
        self._report(planned)
        table = Table(stored.version, {shard.id: shard for shard in shards}, planned.jobs)
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
