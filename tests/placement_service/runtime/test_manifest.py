"""A shard's Knative service, field by field: what Knative and a stateful cache need of each other."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.ids import ShardId
from services.placement.kube.settings import KubernetesSettings
from services.placement.runtime import BackendSpec, Kind
from services.placement.runtime.knative.manifest import RETENTIONS_S, Release, make_service, round_up_retention
from tests.chart.validate import problems

Json = dict[str, Any]
SPEC = BackendSpec(ShardId("shard-0"), 512 << 20, "tailored", 0.0)
PREDICTOR = BackendSpec(ShardId("predictor-0"), 1 << 20, "tailored", 0.0, Kind.PREDICTOR)
ENV = {"FLSTORE_NAMESPACE": "fl", "FLSTORE_SHARD_IMAGE": "flstore:1", "FLSTORE_RELEASE": "r"}


def made(spec: BackendSpec = SPEC, retention_s: int = 0, **env: str) -> Json:
    return make_service(spec, Release(KubernetesSettings.from_env({**ENV, **env}), (), retention_s))


def template(service: Json) -> Json:
    inner: Json = service["spec"]["template"]
    return inner


def container(service: Json) -> Json:
    inner: Json = template(service)["spec"]["containers"][0]
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
    service = made()
    assert service["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"
    assert (service["apiVersion"], service["kind"]) == ("serving.knative.dev/v1", "Service")
    assert service["metadata"]["name"] == "r-shard-0"


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


@pytest.mark.parametrize("kind", Kind)
def test_a_backend_is_ready_within_a_second_of_its_process_and_stays_ready_while_it_is_busy(kind: Kind) -> None:
    probe = container(made(replace(SPEC, kind=kind)))["readinessProbe"]
    assert probe["httpGet"] == {"path": "/readyz", "port": 8080}
    assert probe["periodSeconds"] == 1, "without one, the kubelet asks queue-proxy every 10 s"
    assert probe["timeoutSeconds"] * probe["failureThreshold"] >= 30


def test_credentials_come_from_the_secret_and_are_in_no_variable() -> None:
    inner = container(made(FLSTORE_STORE_SECRET="store", FLSTORE_S3_SECRET_KEY="hidden", FLSTORE_STORE="s3://b"))
    assert inner["envFrom"] == [{"secretRef": {"name": "store"}}]
    assert "hidden" not in str(inner)
    assert {"name": "FLSTORE_STORE", "value": "s3://b"} in inner["env"]


def test_keys_between_services_come_from_their_secret_and_new_ones_start_new_pods() -> None:
    first, second = (made(FLSTORE_KEYS_SECRET="keys", FLSTORE_SERVICE_KEYS=letter * 32) for letter in "ab")
    reference = {"secretKeyRef": {"name": "keys", "key": "FLSTORE_SERVICE_KEYS"}}
    for service in (first, second):
        assert {"name": "FLSTORE_SERVICE_KEYS", "valueFrom": reference} in container(service)["env"]
        assert problems(service) == []
    assert "a" * 32 not in str(first)
    assert template(first)["metadata"]["annotations"] != template(second)["metadata"]["annotations"]


def test_requests_and_limits_leave_room_for_what_is_not_cache() -> None:
    resources = container(made(FLSTORE_SHARD_MEMORY="2Gi"))["resources"]
    assert resources == {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}


def test_a_predictor_has_its_own_image_memory_and_module() -> None:
    inner = container(made(PREDICTOR, FLSTORE_PREDICTOR_IMAGE="torch:1"))
    assert (inner["image"], inner["resources"]["limits"]["memory"]) == ("torch:1", "2Gi")
    assert inner["command"] == ["python", "-m", "services.predictor"]


def test_a_predictor_refuses_a_program_before_its_pod_is_killed() -> None:
    inner = container(made(PREDICTOR, FLSTORE_PREDICTOR_MEMORY="2Gi"))
    allowed = {each["name"]: each["value"] for each in inner["env"]}["FLSTORE_MEMORY_BYTES"]
    assert int(allowed) == int(0.9 * 2**31)
    assert "FLSTORE_MEMORY_BYTES" not in {each["name"] for each in container(made())["env"]}


def test_a_predictor_ends_a_run_before_knative_cuts_it_off() -> None:
    inner = container(made(PREDICTOR, FLSTORE_TIMEOUT_SECONDS="200"))
    environment = {each["name"]: each.get("value") for each in inner["env"]}
    assert environment["FLSTORE_RUN_SECONDS"] == "195"


@pytest.mark.parametrize("name", ["nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb"])
def test_a_predictor_with_a_gpu_asks_for_it_and_runs_on_it(name: str) -> None:
    service = made(PREDICTOR, FLSTORE_PREDICTOR_RESOURCES=json.dumps({name: 1}))
    assert container(service)["resources"] == {
        "requests": {"cpu": "1", "memory": "2Gi", name: "1"},
        "limits": {"memory": "2Gi", name: "1"},
    }
    assert {"name": "FLSTORE_DEVICE", "value": "cuda"} in container(service)["env"]
    assert problems(service) == []
    assert template(service) != template(made(PREDICTOR)), "which starts a new revision"


def test_other_devices_leave_a_predictor_on_its_cores_and_shards_get_none() -> None:
    inner = container(made(PREDICTOR, FLSTORE_PREDICTOR_RESOURCES='{"rdma/hca": 1}'))
    assert inner["resources"]["limits"] == {"memory": "2Gi", "rdma/hca": "1"}
    assert "FLSTORE_DEVICE" not in {each["name"] for each in inner["env"]}
    assert made(FLSTORE_PREDICTOR_RESOURCES='{"nvidia.com/gpu": 1}') == made()


def test_knative_knows_every_field() -> None:
    assert problems(made(FLSTORE_STORE_SECRET="store", FLSTORE_SERVICE_ACCOUNT="shard")) == []


def test_the_same_specification_gives_the_same_object() -> None:
    assert made() == made()


@given(st.floats(0, 1e6))
def test_retention_moves_in_few_steps_and_never_falls_short_of_what_knative_allows(seconds: float) -> None:
    assert round_up_retention(seconds) in RETENTIONS_S
    assert round_up_retention(seconds) >= min(seconds, 3600)
