"""The kinds of object that the controller reads or writes, their paths on an API server, and the labels in use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
"""A Kubernetes object as JSON has it."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A namespaced kind."""

    group: str
    """"" for the core group."""
    version: str
    plural: str
    kind: str
    provider: str = "Kubernetes"
    """What installs the kind in a cluster, for the message that it is missing."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """The name kubectl uses, such as `services.serving.knative.dev`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Return the URL path of the kind, of one object, or of an object's subresource."""
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version, "namespaces", namespace, self.plural, name, subresource]
        return "/".join(part for part in parts if part)

    def head(self, name: str, **metadata: Any) -> Json:
        """Return `apiVersion`, `kind` and `metadata` of an object of this kind."""
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": {"name": name, **metadata}}


CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
EVENTS = Resource("", "v1", "events", "Event")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
PODS = Resource("", "v1", "pods", "Pod")
KNATIVE_SERVICES = Resource("serving.knative.dev", "v1", "services", "Service", "Knative Serving")
FLJOBS = Resource("flstore.dev", "v1alpha1", "fljobs", "FLJob", "manifests/crd/fljobs.yaml")

OWNERS = {resource.kind: resource for resource in (CONFIG_MAPS, DEPLOYMENTS)}

MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
SHARD = "flstore.dev/shard"
"""Label of the services and pods of a backend; its value is the id of the shard or predictor."""
ORIGIN = "flstore.dev/origin"
"""Label of an FLJob that the controller made for a job created over HTTP; its value is `http`."""
FIELD_MANAGER = "flstore-placement"


def name_of(item: Mapping[str, Any]) -> str:
    name: str = item["metadata"]["name"]
    return name


def make_reference(item: Mapping[str, Any]) -> Json:
    """Return the `involvedObject` of an event about `item`."""
    metadata = item["metadata"]
    keys = ("namespace", "name", "uid", "resourceVersion")
    identity = {key: metadata[key] for key in keys if metadata.get(key)}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], **identity}
