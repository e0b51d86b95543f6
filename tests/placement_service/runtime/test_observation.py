"""What a service and its pods say about a backend, rule by rule."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.placement.kube.notation import format_time
from services.placement.runtime.base import Phase
from services.placement.runtime.knative.observation import Failure, Incarnation, observe

Json = dict[str, Any]
NEW = 1_790_000_000.0


def service(ready: str = "True", message: str = "", reason: str = "", generation: int = 1, **metadata: Any) -> Json:
    condition = {"type": "Ready", "status": ready, "message": message, "reason": reason}
    return {
        "metadata": {"name": "flstore-shard-0", "generation": 1, **metadata},
        "spec": {"template": {"spec": {"containers": [{"image": "flstore:1"}]}}},
        "status": {"observedGeneration": generation, "conditions": [condition]},
    }


def pod(name: str = "pod-1", age_s: float = 10.0, labels: Json | None = None, **status: Any) -> Json:
    created = format_time(NEW - age_s)
    return {"metadata": {"name": name, "creationTimestamp": created, "labels": labels or {}}, "status": status}


def draining(item: Json) -> Json:
    return {**item, "metadata": {**item["metadata"], "deletionTimestamp": format_time(NEW)}}


def ready(value: str = "True", at: float = NEW) -> Json:
    return {"type": "Ready", "status": value, "lastTransitionTime": format_time(at)}


def container(name: str = "shard", **fields: Any) -> Json:
    return {"name": name, "image": "flstore:1", "restartCount": 0, "state": {}, "lastState": {}, **fields}


AWAKE = pod("awake", phase="Running", podIP="10.0.0.7", conditions=[ready()])
STARTING = pod("starting", phase="Pending")
FAILING = pod("failing", containerStatuses=[container(state={"waiting": {"reason": "ImagePullBackOff"}})])
EVICTED = pod("evicted", phase="Failed", reason="Evicted")


@pytest.mark.parametrize(
    ("item", "pods", "phase", "name"),
    [
        (None, [], Phase.ZERO, None),
        (None, [AWAKE], Phase.LEAVING, None),
        (service(deletionTimestamp="now"), [AWAKE], Phase.LEAVING, None),
        (service(deletionTimestamp="now"), [], Phase.ZERO, None),
        (service(), [], Phase.ZERO, None),
        (service("Unknown"), [], Phase.STARTING, None),
        (service("False", "no", "Bad"), [], Phase.FAILED, None),
        (service("False", "no", "Bad", generation=0), [], Phase.ZERO, None),
        (service("False", "no", "Bad"), [AWAKE], Phase.AWAKE, "awake"),
        (service("False", "no", "Bad"), [draining(AWAKE)], Phase.FAILED, None),
        (service(), [draining(AWAKE)], Phase.LEAVING, None),
        (service(), [draining(AWAKE), STARTING], Phase.STARTING, "starting"),
        (service(), [FAILING], Phase.FAILED, "failing"),
        (service(), [FAILING, STARTING], Phase.STARTING, "starting"),
        (service(), [FAILING, STARTING, AWAKE], Phase.AWAKE, "awake"),
        (service(), [EVICTED], Phase.ZERO, None),
        (service(), [EVICTED, STARTING], Phase.STARTING, "starting"),
        (service(), [pod("done", phase="Succeeded")], Phase.ZERO, None),
    ],
)
def test_the_first_rule_that_applies_decides(
    item: Json | None, pods: list[Json], phase: Phase, name: str | None
) -> None:
    observation = observe(item, pods)
    assert observation.phase is phase
    assert (observation.incarnation.pod if observation.incarnation else None) == name


@given(st.permutations([AWAKE, STARTING, FAILING, draining(pod("old", conditions=[ready()])), EVICTED]))
def test_the_order_of_pods_does_not_matter(pods: list[Json]) -> None:
    assert observe(service(), pods) == observe(service(), [AWAKE, EVICTED])


def test_of_two_ready_pods_the_newer_counts() -> None:
    old, new = pod("old", 60.0, conditions=[ready()]), pod("new", 5.0, conditions=[ready()])
    for pods in ([old, new], [new, old]):
        incarnation = observe(service(), pods).incarnation
        assert incarnation is not None
        assert incarnation.pod == "new"


def test_the_direct_address_is_that_of_a_ready_pod_of_either_family() -> None:
    assert observe(service(), [AWAKE]).direct_url == "http://10.0.0.7:8080"
    six = pod(phase="Running", podIP="fd00::7", conditions=[ready()])
    assert observe(service(), [six]).direct_url == "http://[fd00::7]:8080"
    assert observe(service(), [pod(podIP="10.0.0.7")]).direct_url is None
    assert observe(service(), [pod(conditions=[ready()])]).direct_url is None, "an address may come later"


def test_a_first_run_began_with_its_pod() -> None:
    item = pod("pod-1", 10.0, {"serving.knative.dev/revision": "r1"}, containerStatuses=[container()])
    assert observe(service(), [item]).incarnation == Incarnation("pod-1", 0, "r1", "", NEW - 10.0)


@pytest.mark.parametrize(
    ("terminated", "reason"),
    [
        ({"reason": "OOMKilled", "exitCode": 137}, "OOMKilled"),
        ({"reason": "Error", "exitCode": 3}, "exit code 3"),
        ({"reason": "Completed", "exitCode": 0}, "Completed"),
        ({"exitCode": 9}, "exit code 9"),
        ({"reason": "Error"}, "exit code ?"),
    ],
)
def test_a_restarted_run_began_with_its_container_and_says_how_the_one_before_ended(
    terminated: Json, reason: str
) -> None:
    running = {"running": {"startedAt": format_time(NEW - 2.0)}}
    shard = container(restartCount=2, state=running, lastState={"terminated": terminated})
    item = pod("pod-1", 3600.0, containerStatuses=[container("queue-proxy", restartCount=7), shard])
    assert observe(service(), [item]).incarnation == Incarnation("pod-1", 2, "", reason, NEW - 2.0)


def test_a_restart_of_queue_proxy_alone_is_none_of_the_shard() -> None:
    item = pod(containerStatuses=[container("queue-proxy", restartCount=7), container()])
    incarnation = observe(service(), [item]).incarnation
    assert incarnation is not None
    assert incarnation.restarts == 0


@pytest.mark.parametrize(
    ("item", "evictions"),
    [
        (EVICTED, {"evicted": "Evicted"}),
        (pod("p", phase="Failed"), {}),
        (pod("p", phase="Running", reason="Whatever"), {}),
        (
            pod("p", conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "Preempted"}]),
            {"p": "Preempted"},
        ),
        (pod("p", conditions=[{"type": "DisruptionTarget", "status": "True"}]), {"p": "Disrupted"}),
        (pod("p", conditions=[{"type": "DisruptionTarget", "status": "False", "reason": "Called off"}]), {}),
        (AWAKE, {}),
    ],
)
def test_pods_that_the_cluster_takes_away_are_known_by_name(item: Json, evictions: dict[str, str]) -> None:
    assert observe(service(), [item]).evictions == evictions


def waiting(reason: str, message: str = "", **fields: Any) -> Json:
    return container(state={"waiting": {"reason": reason, "message": message}}, **fields)


@pytest.mark.parametrize(
    ("status", "reason", "advice"),
    [
        (
            {"containerStatuses": [waiting("ErrImagePull", "denied")]},
            "ImageMissing",
            "'flstore:1' cannot be fetched: denied",
        ),
        ({"containerStatuses": [waiting("InvalidImageName")]}, "ImageMissing", "kind load docker-image flstore:1"),
        (
            {"containerStatuses": [waiting("ErrImageNeverPull")]},
            "ImageMissing",
            "name an image that the nodes can reach",
        ),
        (
            {"containerStatuses": [waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 3}})]},
            "CrashLoop",
            "ends by itself with exit code 3; read its log: kubectl logs --previous -c shard pod-1",
        ),
        (
            {"containerStatuses": [waiting("CrashLoopBackOff", lastState={"terminated": {"reason": "OOMKilled"}})]},
            "OutOfMemory",
            "raise the shards' memory, or lower their cache",
        ),
        ({"containerStatuses": [container(state={"terminated": {"reason": "OOMKilled"}})]}, "OutOfMemory", "its limit"),
        (
            {"containerStatuses": [container("predictor", state={"terminated": {"reason": "OOMKilled"}})]},
            "OutOfMemory",
            "the predictor was killed because it used more memory than its limit; raise the predictors' memory",
        ),
        (
            {"containerStatuses": [waiting("CreateContainerError", "no secret")]},
            "Misconfigured",
            "no secret; the Secret",
        ),
        ({"containerStatuses": [waiting("RunContainerError")]}, "Misconfigured", "must exist in the namespace"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]},
            "NoCapacity",
            "no node has room for the shard: 0/3; add memory or cores",
        ),
    ],
)
def test_a_pod_that_cannot_start_says_why_and_what_helps(status: Json, reason: str, advice: str) -> None:
    failure = observe(service(), [pod(**status)]).failure
    assert failure is not None
    assert failure.reason == reason
    assert advice in failure.message


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_what_only_takes_time_is_no_failure(reason: str) -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    observation = observe(service(), [pod(conditions=[unscheduled], containerStatuses=[waiting(reason)])])
    assert (observation.phase, observation.failure) == (Phase.STARTING, None)


@pytest.mark.parametrize(
    ("message", "reason", "failure"),
    [
        ("", "", Failure("NotReady", "Knative cannot start the shard: Knative gives no reason")),
        ("too slow", "Slow", Failure("Slow", "Knative cannot start the shard: too slow")),
    ],
)
def test_knative_s_own_words_are_passed_on(message: str, reason: str, failure: Failure) -> None:
    assert observe(service("False", message, reason), []).failure == failure


@pytest.mark.parametrize("message", ["Unable to fetch image: 401", "ContainerMissing: no image"])
def test_an_image_that_knative_cannot_resolve_is_missing(message: str) -> None:
    failure = observe(service("False", message, "RevisionFailed"), []).failure
    assert failure is not None
    assert failure.reason == "ImageMissing"
    assert f"image 'flstore:1' cannot be fetched: {message}" in failure.message
