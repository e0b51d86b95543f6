"""The controller on Kubernetes as a whole: it takes part in the election, and does the leader's work while it leads."""

from services.common import tasks
from services.placement.controller import Controller
from services.placement.fljobs.loop import FLJobs
from services.placement.kube.cluster import Cluster
from services.placement.kube.election import Election
from services.placement.kube.resources import Json
from services.placement.runtime.knative.runtime import KnativeRuntime


class Operator:
    """Takes part in the election. The leader runs the controller, the runtime's watches and the `FLJob` objects."""

    def __init__(
        self, cluster: Cluster, runtime: KnativeRuntime, controller: Controller, fljobs: FLJobs, resync_s: float
    ) -> None:
        self._cluster = cluster
        self._runtime = runtime
        self._controller = controller
        self._fljobs = fljobs
        self._resync_s = resync_s
        self._election = Election(cluster, self._announce)

    @property
    def leading(self) -> bool:
        return self._election.leading

    @property
    def leader_address(self) -> str:
        return self._election.leader.address if self._election.leader else ""

    async def run(self) -> None:
        """Campaign, and act while leading, until cancelled."""
        events = tasks.begin(self._cluster.events.run(), "events")
        try:
            await self._election.run(self._lead)
        finally:
            await tasks.end(events)

    async def close(self) -> None:
        await self._cluster.api.close()

    async def _lead(self) -> None:
        """Do a leader's work until cancelled.

        The controller waits until the existing backends are known. Otherwise it would take them for missing.
        """
        beside = [tasks.begin(self._runtime.run(), "runtime"), tasks.begin(self._fljobs.run(), "FLJobs")]
        try:
            await self._runtime.wait_until_synced()
            await self._controller.run(self._resync_s)
        finally:
            await tasks.end(*beside)

    def _announce(self, lease: Json) -> None:
        message = f"{self._cluster.settings.identity} leads the placement"
        self._cluster.events.emit(lease, "LeaderElected", message)
