"""The controller on Kubernetes as a whole: of several, the one that leads watches, places and shows."""

import asyncio

import httpx

from flstore_core.ids import JobId
from flstore_core.records import Job
from flstore_core.storage import ObjectStore
from services.common import tasks
from services.placement.board import Board
from services.placement.controller import Controller
from services.placement.fljobs.mirror import mirrored, object_name
from services.placement.fljobs.reconciler import FLJobs
from services.placement.fljobs.records import Records
from services.placement.fljobs.usage import Usage
from services.placement.fljobs.warmth import Warmth
from services.placement.kube.api import Api
from services.placement.kube.election import Candidate, Election
from services.placement.kube.errors import ClusterError
from services.placement.kube.events import Recorder, Severity
from services.placement.kube.informer import Informer
from services.placement.kube.owner import Owner
from services.placement.kube.resources import FLJOBS, Json
from services.placement.kube.settings import KubernetesSettings
from services.placement.kube.timing import Time
from services.placement.kube.troubles import Troubles
from services.placement.kube.workers import Workers
from services.placement.runtime.knative.runtime import KnativeRuntime

REFRESH_S = 15.0
"""Between two looks at what the objects show of their jobs."""
LOOK_S = 60.0


class Cluster:
    """What everything that speaks to the cluster shares."""

    def __init__(self, api: Api, settings: KubernetesSettings, time: Time) -> None:
        self.api = api
        self.settings = settings
        self.time = time
        self.owner = Owner(api, settings)
        self.recorder = Recorder(api, settings.identity, time)
        self.troubles = Troubles(self._told)

    def _told(self, error: ClusterError) -> None:
        self.recorder.tell(self.owner.about, error.reason, error.detail, Severity.WARNING)


class Operator:
    """Takes part in the election; while it leads it runs the controller, the runtime's watches and the objects."""

    def __init__(
        self,
        cluster: Cluster,
        runtime: KnativeRuntime,
        controller: Controller,
        board: Board,
        store: ObjectStore,
        client: httpx.AsyncClient,
        resync_s: float,
    ) -> None:
        settings, api, time = cluster.settings, cluster.api, cluster.time
        self._cluster = cluster
        self._runtime = runtime
        self._controller = controller
        self._board = board
        self._resync_s = resync_s
        self._records = Records(store)
        self._workers = Workers("FLJob", self._reconcile, time)
        self._mirrors = Workers("FLJob of", self._mirror, time)
        self._objects = Informer(api, FLJOBS, "", time, cluster.troubles, self._changed)
        self._fljobs = FLJobs(
            api,
            self._objects.objects,
            self._records,
            controller,
            runtime,
            board,
            Usage(store, time),
            Warmth(client, time),
            cluster.recorder,
            cluster.troubles,
            time,
        )
        me = Candidate(settings.identity, settings.address)
        self._election = Election(api, settings.lease_name, me, cluster.owner, time, cluster.troubles, self._elected)

    @property
    def leading(self) -> bool:
        return self._election.leading

    @property
    def leader_address(self) -> str:
        return self._election.leader.address if self._election.leader else ""

    async def run(self) -> None:
        events = tasks.begin(self._cluster.recorder.run(), "events")
        try:
            await self._election.run(self._lead)
        finally:
            await tasks.end(events)

    async def close(self) -> None:
        await self._cluster.api.close()

    async def _lead(self) -> None:
        """Do a leader's work until cancelled. Placement begins when it is known what shards there are."""
        beside = [
            tasks.begin(self._runtime.run(), "runtime"),
            tasks.begin(self._objects.run(), "FLJobs"),
            tasks.begin(self._refresh(), "FLJob refresher"),
            tasks.begin(self._follow(), "FLJob mirror"),
        ]
        try:
            await self._runtime.synced()
            await self._controller.run(self._resync_s)
        finally:
            await tasks.end(*beside)
            await self._workers.close()
            await self._mirrors.close()

    def _elected(self, lease: Json) -> None:
        self._cluster.recorder.tell(lease, "LeaderElected", f"{self._cluster.settings.identity} leads the placement")

    async def _reconcile(self, name: str) -> bool:
        await self._runtime.synced()
        self._runtime.retain(self._fljobs.lingering_s(self._cluster.settings.stable_window_s))
        return await self._fljobs.reconcile(name)

    async def _refresh(self) -> None:
        """Have every object show what is new now and then."""
        while True:
            await self._cluster.time.sleep(REFRESH_S)
            for name in self._objects.objects:
                self._workers.add(name)

    async def _follow(self) -> None:
        """See to it that whatever is placed has an object."""
        await self._objects.synced.wait()
        seen = -1
        while not self._board.closed:
            if table := await self._board.newer(seen, LOOK_S):
                seen = table.version
                self._mirror_all()

    def _changed(self, name: str) -> None:
        self._workers.add(name)
        if name not in self._objects.objects:
            self._mirror_all()

    def _mirror_all(self) -> None:
        for job in self._board.table.jobs:
            if self._fljobs.claimant(job) is None:
                self._mirrors.add(job)

    async def _mirror(self, name: str) -> bool:
        """Make the object of a job that has none."""
        job = JobId(name)
        if job in self._board.table.jobs and self._fljobs.claimant(job) is None and (found := await self._record(job)):
            await self._show(found)
        return False

    async def _record(self, job: JobId) -> Job | None:
        return await asyncio.to_thread(self._records.get, job)

    async def _show(self, job: Job) -> None:
        name = object_name(job.id, taken=job.id in self._objects.objects)
        owners = await self._cluster.owner.references()
        await self._cluster.api.apply(FLJOBS, mirrored(job, name, self._cluster.settings.release, owners))
