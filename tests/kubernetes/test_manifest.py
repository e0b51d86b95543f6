"""A shard's Knative service, against what `shared/knative.md` found to matter."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters
from flstore_core.ids import JobId, ShardId
from services.placement.fljobs.spec import SLACK, Declared, lingering_s
from services.placement.kube import quantities
from services.placement.kube.settings import KubernetesSettings
from services.placement.runtime import Kind, ShardSpec
from services.placement.runtime.knative.manifest import STEPS_S, Release, manifest, stepped
from tests.chart.validate import problems

Json = dict[str, Any]
SPEC = ShardSpec(ShardId("shard-0"), 512 << 20, "tailored", 0.0)
ENV = {"FLSTORE_NAMESPACE": "fl", "FLSTORE_SHARD_IMAGE": "flstore:1", "FLSTORE_RELEASE": "r"}


def made(spec: ShardSpec = SPEC, retention_s: int = 0, **env: str) -> Json:
    return manifest(spec, Release(KubernetesSettings.from_env({**ENV, **env}), (), retention_s))


def template(found: Json) -> Json:
    inner: Json = found["spec"]["template"]
    return inner


def container(found: Json) -> Json:
    inner: Json = template(found)["spec"]["containers"][0]
    return inner


def test_a_shard_is_one_pod_or_none_with_no_activator_in_the_way() -> None:
    annotations = template(made())["metadata"]["annotations"]
    scaling = {name.removeprefix("autoscaling.knative.dev/"): value for name, value in annotations.items()}
    assert scaling == {
        "min-scale": "0",
        "max-scale": "1",
        "target-burst-capacity": "0",
        "window": "60s",
        "scale-down-delay": "0s",
        "scale-to-zero-pod-retention-period": "60s",
    }


def test_nobody_outside_the_cluster_reaches_a_shard() -> None:
    found = made()
    assert found["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"
    assert (found["apiVersion"], found["kind"]) == ("serving.knative.dev/v1", "Service")
    assert found["metadata"]["name"] == "r-shard-0"


def test_a_shard_may_do_next_to_nothing_on_its_node() -> None:
    security = container(made())["securityContext"]
    assert security["runAsNonRoot"]
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_nothing_is_used_that_knative_has_switched_off() -> None:
    pod = template(made(FLSTORE_STORE_SECRET="s", FLSTORE_SERVICE_ACCOUNT="a"))["spec"]
    allowed = {
        "containerConcurrency",
        "timeoutSeconds",
        "enableServiceLinks",
        "serviceAccountName",
        "containers",
        "volumes",
    }
    assert pod.keys() <= allowed
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    assert all(variable.keys() == {"name", "value"} for variable in pod["containers"][0]["env"]), "no downward API"


def test_queue_proxy_asks_without_a_pause_until_the_shard_is_ready() -> None:
    assert container(made())["readinessProbe"] == {"httpGet": {"path": "/readyz", "port": 8080}}, (
        "with a period it asks once in that many seconds, and a cold start takes as long; "
        "without one, its webhook allows neither failureThreshold nor timeoutSeconds"
    )


def test_credentials_come_from_the_secret_and_are_in_no_variable() -> None:
    found = container(made(FLSTORE_STORE_SECRET="store", FLSTORE_S3_SECRET_KEY="hidden", FLSTORE_STORE="s3://b"))
    assert found["envFrom"] == [{"secretRef": {"name": "store"}}]
    assert "hidden" not in str(found)
    assert {"name": "FLSTORE_STORE", "value": "s3://b"} in found["env"]


def test_requests_and_limits_leave_room_for_what_is_not_cache() -> None:
    resources = container(made(FLSTORE_SHARD_MEMORY="2Gi"))["resources"]
    assert resources == {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}


def test_a_predictor_has_its_own_image_memory_and_module() -> None:
    spec = ShardSpec(ShardId("predictor-0"), 1 << 20, "tailored", 0.0, Kind.PREDICTOR)
    found = container(made(spec, FLSTORE_PREDICTOR_IMAGE="torch:1"))
    assert (found["image"], found["resources"]["limits"]["memory"]) == ("torch:1", "2Gi")
    assert found["command"] == ["python", "-m", "services.predictor"]


def test_knative_knows_every_field() -> None:
    assert problems(made(FLSTORE_STORE_SECRET="store", FLSTORE_SERVICE_ACCOUNT="shard")) == []


def test_the_same_specification_gives_the_same_object() -> None:
    assert made() == made()


@given(st.floats(0, 1e6))
def test_retention_moves_in_few_steps_and_never_falls_short_of_what_knative_allows(wanted: float) -> None:
    assert stepped(wanted) in STEPS_S
    assert stepped(wanted) >= min(wanted, 3600)


@given(st.integers(1, 100_000), st.integers(6, 3600))
def test_shards_stay_until_the_next_round_is_due_unless_that_is_too_far_off(interval: int, window: int) -> None:
    stays = lingering_s(Declared(JobId("j"), interval_s=interval), window) + window
    if interval * SLACK <= 3600:
        assert stays >= interval
    assert lingering_s(Declared(JobId("j"), interval_s=interval), window) <= 3600


def test_what_a_job_says_of_retention_goes_before_its_interval() -> None:
    assert lingering_s(Declared(JobId("j"), interval_s=600, retention_s=30), 60) == 30.0


@given(st.integers(0, 100), st.integers(0, 59), st.integers(0, 59))
def test_durations_are_read_as_they_are_written(hours: int, minutes: int, seconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s"
    assert quantities.seconds("d", text) == hours * 3600 + minutes * 60 + seconds


@given(st.integers(0, 2**40), st.sampled_from(["", "Ki", "Mi", "Gi"]))
def test_sizes_are_read_as_kubernetes_reads_them(count: int, unit: str) -> None:
    power = {"": 0, "Ki": 1, "Mi": 2, "Gi": 3}[unit]
    assert math.isclose(quantities.nbytes("q", f"{count}{unit}"), count * 1024**power, rel_tol=1e-15)


@pytest.mark.parametrize("text", ["", "5", "m", "1h ", "-1s", "1d", "1.5h"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameters, match="write a duration"):
        quantities.seconds("spec.retention", text)


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("FLSTORE_TIMEOUT_SECONDS", "60", "use 120 to 600"),
        ("FLSTORE_STABLE_WINDOW", "5s", "use 6 to 3600"),
        ("FLSTORE_RETENTION", "2h", "use 0 to 3600"),
        ("FLSTORE_CONTAINER_CONCURRENCY", "0", "use 1 to 1000"),
        ("FLSTORE_CONTAINER_CONCURRENCY", "-1", "use a whole number"),
        ("FLSTORE_SHARD_MEMORY", "lots", "such as 512Mi or 2Gi"),
        ("FLSTORE_SHARD_CPU", "many", "such as 500m or 1"),
        ("FLSTORE_OWNER_KIND", "Pod", "ConfigMap"),
        ("FLSTORE_SHARD_IMAGE", "", "must be set"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(name: str, value: str, advice: str) -> None:
    with pytest.raises(InvalidParameters, match=name) as refused:
        KubernetesSettings.from_env({**ENV, name: value})
    assert advice in str(refused.value)


def test_a_cache_that_leaves_no_memory_for_anything_else_is_refused() -> None:
    settings = KubernetesSettings.from_env({**ENV, "FLSTORE_SHARD_MEMORY": "1Gi"})
    settings.check_cache(614 << 20)
    with pytest.raises(InvalidParameters, match=r"use at most 614\.4 MiB, or raise FLSTORE_SHARD_MEMORY"):
        settings.check_cache(615 << 20)
