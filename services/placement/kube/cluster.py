"""One release's view of its cluster: what all code that talks to Kubernetes shares."""

from services.placement.kube.api import Api
from services.placement.kube.errors import ClusterError, StandingErrors
from services.placement.kube.events import EventRecorder, Severity
from services.placement.kube.resources import OWNERS, Json
from services.placement.kube.settings import KubernetesSettings
from services.placement.timing import RealTime, Time


class Cluster:
    """The API of one namespace, and the release's settings, owner, events and standing errors."""

    def __init__(self, api: Api, settings: KubernetesSettings, time: Time | None = None) -> None:
        """The caller closes `api`. `time` is the machine's clock by default."""
        self.api = api
        self.settings = settings
        self.time = time or RealTime()
        self.owner = Owner(api, settings)
        self.events = EventRecorder(api, settings.identity, self.time)
        self.errors = StandingErrors(self._announce)

    def _announce(self, error: ClusterError) -> None:
        self.events.emit(self.owner.placeholder, error.reason, error.detail, Severity.WARNING)


class Owner:
    """The object that owns everything that the controller creates.

    When the owner is deleted, Kubernetes deletes what it owns. The chart creates the owner, so `helm uninstall` removes
    shards, leases and mirrors of jobs too.
    """

    def __init__(self, api: Api, settings: KubernetesSettings) -> None:
        self._api = api
        self._resource = OWNERS[settings.owner_kind]
        self._name = settings.owner_name
        self._uid = settings.owner_uid

    async def fetch_references(self) -> list[Json]:
        """Return the `ownerReferences` of a new object; an empty list when the settings name no owner.

        The owner's uid comes from the settings, or once from the cluster.

        Raises:
            ClusterError: if the owner cannot be read. An object without an owner would outlive an uninstall.
        """
        if not self._name:
            return []
        if not self._uid:
            self._uid = (await self._api.get(self._resource, self._name))["metadata"]["uid"]
        return [
            {
                "apiVersion": self._resource.api_version,
                "kind": self._resource.kind,
                "name": self._name,
                "uid": self._uid,
            }
        ]

    @property
    def placeholder(self) -> Json:
        """The owner as far as it is known without a call; events about the whole release refer to it."""
        head = self._resource.head(self._name or "flstore", namespace=self._api.namespace)
        if self._uid:
            head["metadata"]["uid"] = self._uid
        return head
