"""What a shard is doing, by its Knative service and its pods. Pure: objects in, state out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.placement.kube.timing import seconds_of
from services.placement.runtime.base import Phase
from services.placement.runtime.knative.manifest import PORT

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a shard cannot serve, and what would help."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Sight:
    """A shard at one moment."""

    phase: Phase
    failure: Failure | None = None
    pod: str = ""
    """Name of the pod that serves, starts or fails."""
    direct_url: str | None = None
    """Where the serving pod is reached past queue-proxy, which counts requests and so keeps pods awake."""
    started_at: float | None = None
    """When the pod was created, in seconds since the epoch."""
    ready_at: float | None = None


def see(service: Object | None, pods: Iterable[Object]) -> Sight:
    """Return what follows from a service and its pods; of several pods, old and new, the best that stays counts."""
    living = [pod for pod in pods if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    staying = [pod for pod in living if "deletionTimestamp" not in pod["metadata"]]
    if service is None or "deletionTimestamp" in service["metadata"]:
        return Sight(Phase.LEAVING if living else Phase.ZERO)
    if staying:
        return max((_of_pod(pod) for pod in staying), key=lambda sight: (_RANK[sight.phase], sight.started_at or 0.0))
    if failure := _service_failure(service):
        return Sight(Phase.FAILED, failure)
    if living:
        return Sight(Phase.LEAVING)
    return Sight(Phase.STARTING if _condition(service, "Ready").get("status") == "Unknown" else Phase.ZERO)


_RANK = {Phase.FAILED: 0, Phase.STARTING: 1, Phase.AWAKE: 2}


def _of_pod(pod: Object) -> Sight:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    created = seconds_of(pod["metadata"]["creationTimestamp"])
    ready = _condition(pod, "Ready")
    if ready.get("status") == "True":
        address = status.get("podIP")
        url = f"http://{f'[{address}]' if ':' in address else address}:{PORT}" if address else None
        return Sight(Phase.AWAKE, None, name, url, created, seconds_of(ready["lastTransitionTime"]))
    if failure := next(_pod_failures(pod), None):
        return Sight(Phase.FAILED, failure, name, None, created)
    return Sight(Phase.STARTING, None, name, None, created)


def _pod_failures(pod: Object) -> Iterator[Failure]:
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        yield Failure(
            "NoCapacity",
            f"no node has room for the shard: {scheduled.get('message', '')}; add memory or cores to the cluster, or "
            "lower the shards' memory and number",
        )
    for container in pod.get("status", {}).get("containerStatuses", ()):
        yield from _container_failures(pod["metadata"]["name"], container)


def _container_failures(pod: str, container: Object) -> Iterator[Failure]:
    waiting = container.get("state", {}).get("waiting") or {}
    last = container.get("lastState", {}).get("terminated") or container.get("state", {}).get("terminated") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
        yield Failure("ImageMissing", _image_advice(container.get("image", ""), message))
    elif last.get("reason") == "OOMKilled":
        yield Failure(
            "OutOfMemory", "the shard was killed for using more memory than its limit; raise the shards' memory, or "
            "lower their cache"
        )  # fmt: skip
    elif reason == "CrashLoopBackOff":
        yield Failure(
            "CrashLoop",
            f"the shard ends by itself with exit code {last.get('exitCode', '?')}; its last words: "
            f"kubectl logs --previous -c {container['name']} {pod}",
        )
    elif reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        yield Failure(
            "Misconfigured", f"the shard cannot be started: {message}; the Secret with the store's credentials and the "
            "service account must exist in the namespace"
        )  # fmt: skip


def _service_failure(service: Object) -> Failure | None:
    """Return what Knative says of a service that cannot become ready; what it has not yet looked at says nothing."""
    ready = _condition(service, "Ready")
    observed = service.get("status", {}).get("observedGeneration")
    if ready.get("status") != "False" or observed != service["metadata"].get("generation"):
        return None
    message = ready.get("message") or "Knative gives no reason"
    if "fetch image" in message or "ContainerMissing" in message:
        return Failure("ImageMissing", _image_advice(_image(service), message))
    return Failure(ready.get("reason") or "NotReady", f"Knative cannot bring the shard up: {message}")


def _image_advice(image: str, message: str) -> str:
    return (
        f"image {image!r} cannot be fetched: {message}; name an image that the nodes can reach, or load it into them "
        f"(kind load docker-image {image})"
    )


def _image(service: Object) -> str:
    image: str = service["spec"]["template"]["spec"]["containers"][0].get("image", "")
    return image


def _condition(item: Object, kind: str) -> Mapping[str, Any]:
    found = item.get("status", {}).get("conditions") or ()
    return next((condition for condition in found if condition["type"] == kind), {})
