"""The control loop: observe jobs and backends, plan, act on the runtime, publish the table."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from flstore_core.errors import FLStoreError, NotFound, PreconditionFailed, Unavailable
from flstore_core.ids import JobId, ShardId
from flstore_core.placement import Observed, Plan, Planner, Shard, Table
from flstore_core.records import Job
from flstore_core.retry import Retry, growing
from services.placement.board import Board
from services.placement.fleet import Fleet
from services.placement.memory import Memory
from services.placement.metrics import Metrics
from services.placement.timing import RealTime, Time

logger = logging.getLogger(__name__)

SWAP_ATTEMPTS = 10
"""How often one change is planned anew because another controller has replaced the table meanwhile."""


class Controller:
    """Keeps backends and table as the jobs need them. There is one table, so changes of it wait for each other."""

    def __init__(self, memory: Memory, fleet: Fleet, board: Board, metrics: Metrics, time: Time | None = None) -> None:
        self.memory = memory
        self.fleet = fleet
        self.board = board
        self._metrics = metrics
        self._time = time or RealTime()
        self._jobs: dict[JobId, Job] = {}
        self._planner = Planner()
        self._serial = asyncio.Lock()
        self._stored: tuple[Table, str | None] | None = None
        """The table in the store and its etag, as this controller last saw them; None if they have to be read again."""
        self.ready = False
        """Whether a table has been published since `run` began."""

    async def run(self, resync_s: float) -> None:
        """Look at the store at once and then every `resync_s` seconds; after a failure sooner, with growing pauses.

        Deletions that broke off are finished.

        What an earlier `run` knew is dropped first, because another controller may have led in between.
        """
        async with self._serial:
            self._jobs.clear()
            self._stored = None
            self.ready = False
        attempts = Retry(growing(0.2, resync_s)).begin()
        while True:
            try:
                await self.resync()
                await asyncio.to_thread(self.memory.finish_deletions)  # may take long, and changes wait for `resync`
                attempts.succeeded()
            except FLStoreError as error:
                attempts.failed()
                self._metrics.plan_errors.labels(error.code).inc()
                logger.warning("placement could not be reconciled: %s", error)
            await self._time.sleep(attempts.pause_s or resync_s)

    async def resync(self) -> None:
        """Add the jobs that are new in the store, drop those that are gone, and reconcile."""
        async with self._serial:
            await self._read_jobs()
            await self._reconcile()
            self.ready = True

    async def place(self, job: JobId) -> Table:
        """Place `job` by its record in the store and return the table that says where.

        Raises:
            NotFound: if it has no record.
            FLStoreError: the planner's refusal, if no placement is possible.
        """
        async with self._serial:
            record = await asyncio.to_thread(self.memory.read_job, job)
            if record is None:
                raise NotFound(f"job {job!r} has no record in the store; create it first")
            await self._read_jobs_once()
            # The record replaces an earlier one: the job may have been deleted and created anew with another schema.
            is_new = job not in self._jobs
            self._jobs[job] = record
            plan = await self._reconcile()
            if refusal := plan.refused.get(job):
                if is_new:
                    del self._jobs[job]
                raise refusal
            return self.board.table

    async def forget(self, job: JobId) -> None:
        """Remove `job` from the table; do nothing if it is not there."""
        async with self._serial:
            await self._read_jobs_once()
            self._jobs.pop(job, None)
            await self._reconcile()

    async def _read_jobs_once(self) -> None:
        """Read the jobs before the first plan, or that plan would drop all jobs from the table."""
        if not self.ready:
            await self._read_jobs()

    async def _read_jobs(self) -> None:
        self._jobs = await asyncio.to_thread(self.memory.read_jobs)

    async def _reconcile(self) -> Plan:
        """Make runtime and table follow a plan; plan again if another controller has changed the table."""
        # Backends exist before the table names them, and are removed only after it has ceased to. So no gateway is ever
        # sent to a backend that is missing.
        specs = self.fleet.choose(self._jobs.values(), await self._runs_models())
        shards, predictors = await self.fleet.ensure(specs)
        for _ in range(SWAP_ATTEMPTS):
            try:
                plan = await self._publish(shards, predictors)
                await self.fleet.retire_others(specs)
                return plan
            except PreconditionFailed:
                self._metrics.conflicts.inc()
                self._stored = None  # so that the next plan starts from what the other controller has stored
        raise Unavailable(f"the placement table changed {SWAP_ATTEMPTS} times while it was being replaced; try again")

    async def _runs_models(self) -> bool:
        if not self.fleet.needs_to_know_programs:
            return False
        return await asyncio.to_thread(lambda: any(map(self.memory.has_program, tuple(self._jobs.values()))))

    async def _publish(self, shards: tuple[Shard, ...], predictors: Mapping[ShardId, str]) -> Plan:
        """Plan from the stored table, store the new table if it differs, and post it on the board."""
        if self._stored is None:
            self._stored = await asyncio.to_thread(self.memory.read_table)
        stored, etag = self._stored
        plan = self._planner.plan(Observed(shards, tuple(self._jobs.values()), stored.jobs))
        self._report_refusals(plan)
        listed = {shard.id: _with_unknown(shard, stored.shards.get(shard.id)) for shard in shards}
        table = Table(stored.version, listed, plan.jobs, predictors, unknown=stored.unknown)
        if table != stored or etag is None:
            table = replace(table, version=stored.version + 1)
            etag = await asyncio.to_thread(self.memory.swap_table, table, etag)
        self._stored = (table, etag)
        if table != self.board.table:
            self.board.post(table)
            self._metrics.table_version.set(table.version)
            logger.info("table %d is in force", table.version, extra={"jobs": len(table.jobs), "shards": len(shards)})
        return plan

    def _report_refusals(self, plan: Plan) -> None:
        for job, refusal in plan.refused.items():
            self._metrics.plan_errors.labels(refusal.code).inc()
            logger.warning("job %s has no place: %s", job, refusal)


def _with_unknown(shard: Shard, stored: Shard | None) -> Shard:
    """Return a shard with what a later version has added to its row in the table."""
    return replace(shard, unknown=stored.unknown) if stored and stored.unknown else shard
