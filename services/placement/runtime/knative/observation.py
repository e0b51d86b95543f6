"""Derives what a backend is doing from its Knative service and its pods: a pure function from objects to `Observation`.

A backend has one Knative service and usually one pod or none; while a new revision is rolled out, or a pod drains, it
has two. The first rule that applies decides:

    the service is missing or being deleted      LEAVING while a pod lives, else ZERO
    a pod stays (no deletionTimestamp)           AWAKE if it is Ready, FAILED if it shows why it cannot be, else
                                                 STARTING; of several pods the best phase counts, then the newest pod
    Knative says the service cannot be Ready     FAILED
    a pod drains (has a deletionTimestamp)       LEAVING
    Knative is still working on the service      STARTING
    otherwise                                    ZERO

Example: revision 2 is rolled out while revision 1 serves. Pods a (Ready) and b (starting): AWAKE, pod a. Then a drains
and b is not Ready yet: STARTING, pod b. Then b is Ready: AWAKE, pod b.

A container that is killed for its memory is started again *in the same pod*: its name stays and its `restartCount`
grows, so that name and count together identify what runs (`Incarnation`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.placement.kube.notation import parse_time
from services.placement.runtime.base import Phase
from services.placement.runtime.knative.manifest import PORT

Object = Mapping[str, Any]

QUEUE_PROXY = "queue-proxy"
"""Knative's own container in every pod. Its restarts do not count: the cache in the container beside it stays."""
REVISION = "serving.knative.dev/revision"
"""Label that Knative puts on pods."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a backend cannot serve, and what would help."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One run of a backend's container."""

    pod: str
    restarts: int = 0
    """How often the container was started again in this pod."""
    revision: str = ""
    """Knative revision of the pod; "" if its label is missing."""
    last_end: str = ""
    """Why the container's run before this one ended, such as `OOMKilled` or `exit code 3`; "" if this is the first."""
    started_at: float = 0.0
    """Creation of the pod, or for a restart the container's start, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A backend at one moment."""

    phase: Phase
    failure: Failure | None = None
    incarnation: Incarnation | None = None
    """What serves, starts or fails; None if nothing does."""
    direct_url: str | None = None
    """Address of the pod past queue-proxy, which counts requests and so would keep the pod awake."""
    ready_at: float | None = None
    """When the pod became Ready, in seconds since the epoch."""
    evictions: Mapping[str, str] = field(default_factory=dict)
    """Pod → reason, for the pods that the cluster is taking away or has taken away."""


def observe(service: Object | None, pods: Iterable[Object]) -> Observation:
    """Return what follows from a service and its pods, by the rules above."""
    pods = tuple(pods)
    evictions = {pod["metadata"]["name"]: reason for pod in pods if (reason := _eviction(pod))}
    phase, failure, pod = _judge(service, pods)
    if pod is None:
        return Observation(phase, failure, evictions=evictions)
    ready = _condition(pod, "Ready")
    ready_at = parse_time(ready["lastTransitionTime"]) if phase is Phase.AWAKE else None
    return Observation(phase, failure, _incarnation(pod), _direct_url(pod, phase), ready_at, evictions)


def _judge(service: Object | None, pods: tuple[Object, ...]) -> tuple[Phase, Failure | None, Object | None]:
    """Return the phase, why it is FAILED, and the pod that decided."""
    living = [pod for pod in pods if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    staying = [pod for pod in living if "deletionTimestamp" not in pod["metadata"]]
    if service is None or "deletionTimestamp" in service["metadata"]:
        return (Phase.LEAVING if living else Phase.ZERO), None, None
    if staying:
        return max(map(_judge_pod, staying), key=_rank)
    if failure := _service_failure(service):
        return Phase.FAILED, failure, None
    if living:
        return Phase.LEAVING, None, None
    deploying = _condition(service, "Ready").get("status") == "Unknown"
    return (Phase.STARTING if deploying else Phase.ZERO), None, None


def _judge_pod(pod: Object) -> tuple[Phase, Failure | None, Object]:
    if _condition(pod, "Ready").get("status") == "True":
        return Phase.AWAKE, None, pod
    failure = next(_pod_failures(pod), None)
    return (Phase.FAILED if failure else Phase.STARTING), failure, pod


def _rank(judged: tuple[Phase, Failure | None, Object]) -> tuple[int, float]:
    """Return what orders a backend's pods, the one that counts last."""
    phase, _, pod = judged
    worst_to_best = (Phase.FAILED, Phase.STARTING, Phase.AWAKE)
    return worst_to_best.index(phase), parse_time(pod["metadata"]["creationTimestamp"])


def _incarnation(pod: Object) -> Incarnation:
    metadata, container = pod["metadata"], _backend_container(pod)
    restarts = container.get("restartCount", 0)
    running = container.get("state", {}).get("running") or {}
    started = running.get("startedAt") if restarts else None
    return Incarnation(
        pod=metadata["name"],
        restarts=restarts,
        revision=(metadata.get("labels") or {}).get(REVISION, ""),
        last_end=_describe_end(container.get("lastState", {}).get("terminated")),
        started_at=parse_time(started or metadata["creationTimestamp"]),
    )


def _backend_container(pod: Object) -> Object:
    statuses = pod.get("status", {}).get("containerStatuses", ())
    return next((status for status in statuses if status["name"] != QUEUE_PROXY), {})


def _describe_end(terminated: Object | None) -> str:
    """Return why a container ended; the kubelet's reason `Error` says less than the exit code."""
    if not terminated:
        return ""
    reason: str = terminated.get("reason", "")
    return reason if reason not in ("", "Error") else f"exit code {terminated.get('exitCode', '?')}"


def _eviction(pod: Object) -> str:
    """Return why the cluster is taking a pod away or has taken it away; "" if it does neither.

    See https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions.
    """
    disruption = _condition(pod, "DisruptionTarget")
    if disruption.get("status") == "True":
        return str(disruption.get("reason") or "Disrupted")
    status = pod.get("status", {})
    return str(status.get("reason") or "") if status.get("phase") == "Failed" else ""


def _direct_url(pod: Object, phase: Phase) -> str | None:
    address = pod.get("status", {}).get("podIP") if phase is Phase.AWAKE else None
    return f"http://{f'[{address}]' if ':' in address else address}:{PORT}" if address else None


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
    reason, message, name = waiting.get("reason", ""), waiting.get("message", ""), container["name"]
    if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
        yield Failure("ImageMissing", _advise_on_image(container.get("image", ""), message))
    elif last.get("reason") == "OOMKilled":
        yield Failure(
            "OutOfMemory",
            f"the {name} was killed because it used more memory than its limit; raise the {name}s' memory, or lower "
            "their cache",
        )
    elif reason == "CrashLoopBackOff":
        yield Failure(
            "CrashLoop",
            f"the {name} ends by itself with exit code {last.get('exitCode', '?')}; read its log: "
            f"kubectl logs --previous -c {name} {pod}",
        )
    elif reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        yield Failure(
            "Misconfigured",
            f"the {name} cannot be started: {message}; the Secret with the store's credentials and the service account "
            "must exist in the namespace",
        )


def _service_failure(service: Object) -> Failure | None:
    """Return why Knative cannot make a service ready; None if it can, or has not looked at this generation yet."""
    ready = _condition(service, "Ready")
    observed = service.get("status", {}).get("observedGeneration")
    if ready.get("status") != "False" or observed != service["metadata"].get("generation"):
        return None
    message = ready.get("message") or "Knative gives no reason"
    if "fetch image" in message or "ContainerMissing" in message:
        return Failure("ImageMissing", _advise_on_image(_image(service), message))
    return Failure(ready.get("reason") or "NotReady", f"Knative cannot start the shard: {message}")


def _advise_on_image(image: str, message: str) -> str:
    return (
        f"image {image!r} cannot be fetched: {message}; name an image that the nodes can reach, or load it into them "
        f"(kind load docker-image {image})"
    )


def _image(service: Object) -> str:
    image: str = service["spec"]["template"]["spec"]["containers"][0].get("image", "")
    return image


def _condition(item: Object, kind: str) -> Mapping[str, Any]:
    conditions = item.get("status", {}).get("conditions") or ()
    return next((condition for condition in conditions if condition["type"] == kind), {})
