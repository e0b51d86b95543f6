"""What a leader does for `FLJob` objects: it reconciles each that changes, refreshes all, and mirrors jobs without one.

A job created over HTTP has no object. Once it is in the placement table it gets one, its *mirror*, so that `kubectl get
fljobs` lists all jobs.
"""

import asyncio

import httpx

from flstore_core.ids import JobId
from flstore_core.records import Job
from flstore_core.storage import ObjectStore
from services.common import tasks
from services.placement.controller import Controller
from services.placement.fljobs.objects import Objects
from services.placement.fljobs.reconciler import Reconciler
from services.placement.fljobs.spec import choose_object_name, make_mirror
from services.placement.fljobs.usage import Usage
from services.placement.fljobs.warmth import Warmth
from services.placement.kube.cluster import Cluster
from services.placement.kube.informer import Informer
from services.placement.kube.resources import FLJOBS
from services.placement.kube.workers import Workers
from services.placement.runtime.knative.runtime import KnativeRuntime

REFRESH_S = 15.0
"""Seconds between two updates of the figures in every object's status."""
WAIT_S = 60.0
"""Longest single wait for a newer table, in seconds. After it the wait begins again."""


class FLJobs:
    """Keeps objects and jobs in agreement while `run` runs."""

    def __init__(
        self,
        cluster: Cluster,
        runtime: KnativeRuntime,
        controller: Controller,
        store: ObjectStore,
        client: httpx.AsyncClient,
    ) -> None:
        self._cluster = cluster
        self._runtime = runtime
        self._board = controller.board
        self._memory = controller.memory
        self._informer = Informer(cluster, FLJOBS, "", self._changed)
        self._objects = Objects(self._informer.objects)
        usage, warmth = Usage(store, cluster.time), Warmth(client, cluster.time)
        self._reconciler = Reconciler(cluster, self._objects, controller, usage, warmth)
        self._workers = Workers("FLJob", self._reconcile, cluster.time)
        self._mirrors = Workers("FLJob of", self._mirror, cluster.time)

    async def run(self) -> None:
        """Reconcile, refresh and mirror until cancelled."""
        running = [
            tasks.begin(self._informer.run(), "FLJobs"),
            tasks.begin(self._refresh(), "FLJob refresher"),
            tasks.begin(self._follow_tables(), "FLJob mirror"),
        ]
        try:
            await asyncio.gather(*running)
        finally:
            await tasks.end(*running)
            await self._workers.close()
            await self._mirrors.close()

    async def _reconcile(self, name: str) -> bool:
        await self._runtime.wait_until_synced()
        self._set_retention()
        return await self._reconciler.reconcile(name)

    def _set_retention(self) -> None:
        window_s = self._cluster.settings.stable_window_s
        self._runtime.set_retention(self._objects.compute_longest_retention(window_s))

    async def _refresh(self) -> None:
        while True:
            await self._cluster.time.sleep(REFRESH_S)
            for name in self._objects:
                self._workers.add(name)

    async def _follow_tables(self) -> None:
        """Mirror the jobs of each new table."""
        await self._informer.synced.wait()
        self._set_retention()  # where there are no objects, nothing else would say so
        version = -1
        while not self._board.closed:
            if table := await self._board.wait_for_newer(version, WAIT_S):
                version = table.version
                self._mirror_all()

    def _changed(self, name: str) -> None:
        self._workers.add(name)
        if name not in self._objects:
            self._mirror_all()

    def _mirror_all(self) -> None:
        for job in self._board.table.jobs:
            if self._objects.find_claimant(job) is None:
                self._mirrors.add(job)

    async def _mirror(self, name: str) -> bool:
        """Create the object of a job that has none. Returns False, because the job's worker has nothing more to do."""
        job = JobId(name)
        if job in self._board.table.jobs and self._objects.find_claimant(job) is None:
            record = await asyncio.to_thread(self._memory.read_job, job)
            if record is not None:
                await self._create_mirror(record)
        return False

    async def _create_mirror(self, job: Job) -> None:
        name = choose_object_name(job.id, taken=job.id in self._objects)
        owners = await self._cluster.owner.fetch_references()
        await self._cluster.api.apply(FLJOBS, make_mirror(job, name, self._cluster.settings.release, owners))
