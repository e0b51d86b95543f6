"""The object that owns everything made here: when it goes, Kubernetes removes the rest."""

from services.placement.kube.api import Api
from services.placement.kube.resources import OWNERS, Json
from services.placement.kube.settings import KubernetesSettings


class Owner:
    """Knows the owner's uid, from the settings or else from the cluster."""

    def __init__(self, api: Api, settings: KubernetesSettings) -> None:
        self._api = api
        self._resource = OWNERS[settings.owner_kind]
        self._name = settings.owner_name
        self._uid = settings.owner_uid

    async def references(self) -> list[Json]:
        """Return `ownerReferences` of everything made here; empty when no owner is named.

        Raises `ClusterError` when the owner cannot be looked up: what nobody owns would outlive an uninstall.
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
    def about(self) -> Json:
        """What events are about that concern the release as a whole."""
        head = self._resource.head(self._name or "flstore", namespace=self._api.namespace)
        if self._uid:
            head["metadata"]["uid"] = self._uid
        return head
