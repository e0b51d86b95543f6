"""What Knative and the kubelet would do to a shard's service, one step at a time, as far as objects show it."""

from datetime import UTC, datetime
from typing import Any

from services.placement.kube.resources import KNATIVE_SERVICES, PODS
from tests.kubernetes.hand import Hand

Json = dict[str, Any]

REVISION = "serving.knative.dev/revision"
DRAIN = "flstore.test/drain"
"""Finalizer that keeps a pod Terminating, as its grace does."""


class Knative:
    """Writes the statuses of services and makes, readies and ends their pods."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    async def accepts(self, service: str) -> None:
        """Report the newest revision of a service as ready."""
        await self._report(service, "True", "", "")

    async def works_on(self, service: str) -> None:
        await self._report(service, "Unknown", "Deploying", "")

    async def rejects(self, service: str, reason: str, message: str) -> None:
        await self._report(service, "False", reason, message)

    async def makes_pod(self, service: str, pod: str, revision: str = "") -> None:
        item = await self._hand.get(KNATIVE_SERVICES, service)
        assert item is not None
        template = item["spec"]["template"]
        labels = {**template["metadata"]["labels"], **({REVISION: revision} if revision else {})}
        metadata = {"name": pod, "labels": labels, "finalizers": [DRAIN]}
        container = template["spec"]["containers"][0]
        spec = {"containers": [{"name": container["name"], "image": container["image"]}]}
        await self._hand.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        await self._status(pod, {"phase": "Pending"})

    async def readies(self, pod: str, address: str = "127.0.0.1") -> None:
        await self._status(pod, {"phase": "Running", "podIP": address, "conditions": [_condition("Ready", "True")]})

    async def wakes(self, service: str, pod: str, revision: str = "") -> None:
        await self.makes_pod(service, pod, revision)
        await self.readies(pod)

    async def unreadies(self, pod: str) -> None:
        """Report that a pod does not answer its probe at the moment; its container runs on."""
        await self._status(pod, {"phase": "Running", "conditions": [_condition("Ready", "False")]})

    async def restarts(self, pod: str, count: int, ended: Json, ready: bool = False) -> None:
        """Report that a pod's container ended and was started again, `count` times by now."""
        container = {
            "name": "shard",
            "image": "flstore:test",
            "imageID": "",
            "ready": ready,
            "restartCount": count,
            "state": {"running": {"startedAt": _now()}},
            "lastState": {"terminated": ended},
        }
        ready_condition = _condition("Ready", "True" if ready else "False")
        await self._status(pod, {"conditions": [ready_condition], "containerStatuses": [container]})

    async def evicts(self, pod: str, message: str) -> None:
        """Have the kubelet end a pod because its node runs out of something."""
        await self._status(pod, {"phase": "Failed", "reason": "Evicted", "message": message, "conditions": []})

    async def preempts(self, pod: str, reason: str) -> None:
        """Announce that the cluster takes a pod away, and tell it to leave."""
        await self._status(pod, {"conditions": [{**_condition("DisruptionTarget", "True"), "reason": reason}]})
        await self.drains(pod)

    async def cannot_schedule(self, pod: str, message: str) -> None:
        condition = {**_condition("PodScheduled", "False"), "reason": "Unschedulable", "message": message}
        await self._status(pod, {"phase": "Pending", "conditions": [condition]})

    async def waits(self, pod: str, reason: str, message: str, last: Json | None = None) -> None:
        """Report that a pod's container does not run, and why."""
        container = {
            "name": "shard",
            "image": "flstore:test",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": message}},
            "lastState": {"terminated": last} if last else {},
        }
        await self._status(pod, {"phase": "Pending", "conditions": [], "containerStatuses": [container]})

    async def drains(self, pod: str) -> None:
        """Tell a pod to leave: it is Terminating from now on, out of service but there."""
        await self._hand.delete(PODS, pod)

    async def ends(self, pod: str) -> None:
        """Have a pod be gone, as after its grace, or with its node."""
        await self._hand.merge(PODS, pod, {"metadata": {"finalizers": []}})
        await self._hand.delete(PODS, pod)

    async def _status(self, pod: str, status: Json) -> None:
        await self._hand.merge(PODS, pod, {"status": status}, "status")

    async def _report(self, service: str, value: str, reason: str, message: str) -> None:
        item = await self._hand.get(KNATIVE_SERVICES, service)
        assert item is not None
        condition = {**_condition("Ready", value), "reason": reason, "message": message}
        status = {"observedGeneration": item["metadata"]["generation"], "conditions": [condition]}
        await self._hand.merge(KNATIVE_SERVICES, service, {"status": status}, "status")


def _condition(kind: str, value: str) -> Json:
    return {"type": kind, "status": value, "lastTransitionTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
