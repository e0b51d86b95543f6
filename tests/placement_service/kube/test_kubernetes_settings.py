"""The controller's settings on Kubernetes: what is refused, and with what advice."""

import socket

import pytest

from flstore_core.errors import InvalidParameters
from services.placement.kube.settings import KubernetesSettings

ENV = {"FLSTORE_NAMESPACE": "fl", "FLSTORE_SHARD_IMAGE": "flstore:1", "FLSTORE_RELEASE": "r"}


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("FLSTORE_TIMEOUT_SECONDS", "60", "use 120 to 600"),
        ("FLSTORE_STABLE_WINDOW", "5s", "use 6 to 3600"),
        ("FLSTORE_RETENTION", "2h", "use 0 to 3600"),
        ("FLSTORE_CONTAINER_CONCURRENCY", "0", "use 1 to 1000"),
        ("FLSTORE_CONTAINER_CONCURRENCY", "-1", "use 1 to 1000"),
        ("FLSTORE_CONTAINER_CONCURRENCY", "some", "use a whole number"),
        ("FLSTORE_RETENTION", "a while", "write a duration of whole seconds"),
        ("FLSTORE_SHARD_MEMORY", "lots", "such as 512Mi or 2Gi"),
        ("FLSTORE_SHARD_CPU", "many", "such as 500m or 1"),
        ("FLSTORE_OWNER_KIND", "Pod", "ConfigMap"),
        ("FLSTORE_PREDICTOR_RESOURCES", "nvidia.com/gpu=1", 'write one such as {"nvidia.com/gpu": 1}'),
        ("FLSTORE_PREDICTOR_RESOURCES", '["nvidia.com/gpu"]', "is no JSON object"),
        *(
            ("FLSTORE_PREDICTOR_RESOURCES", f'{{"{name}": 1}}', "write a domain and a name, as nvidia.com/gpu")
            for name in (
                "memory",
                "kubernetes.io/gpu",
                "requests.nvidia.com/gpu",
                "nvidia.com/",
                "NVIDIA.com/gpu",
                "a/b/c",
            )
        ),
        *(
            ("FLSTORE_PREDICTOR_RESOURCES", f'{{"nvidia.com/gpu": {count}}}', "use a whole number above 0")
            for count in ("0", "-1", "1.5", '"1Gi"', "true", "null", "9" * 11)
        ),
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


def test_what_is_not_set_has_the_dataclass_s_default() -> None:
    env = {**ENV, "HOSTNAME": "one", "FLSTORE_ADDRESS": "http://one"}
    expected = KubernetesSettings("fl", shard_image="flstore:1", release="r", identity="one", address="http://one")
    assert KubernetesSettings.from_env(env) == expected


def test_times_are_seconds_or_durations_and_quantities_stay_as_they_are_written() -> None:
    settings = KubernetesSettings.from_env(
        {**ENV, "FLSTORE_STABLE_WINDOW": "90", "FLSTORE_RETENTION": "10m30s", "FLSTORE_SHARD_MEMORY": "1.5Gi"}
    )
    assert (settings.stable_window_s, settings.retention_s, settings.shard_memory) == (90, 630, "1.5Gi")


def test_devices_are_counted_in_numbers_or_quantities() -> None:
    env = {**ENV, "FLSTORE_PREDICTOR_RESOURCES": '{"nvidia.com/gpu": 1, "rdma/hca": "2"}'}
    assert KubernetesSettings.from_env(env).predictor_resources == {"nvidia.com/gpu": "1", "rdma/hca": "2"}


def test_shards_inherit_what_they_need_of_the_environment_and_no_credentials() -> None:
    env = {**ENV, "FLSTORE_STORE": "s3://b", "FLSTORE_S3_SECRET_KEY": "secret", "FLSTORE_LOG_LEVEL": ""}
    assert KubernetesSettings.from_env(env).shard_env == {"FLSTORE_STORE": "s3://b"}


def test_a_controller_without_an_address_is_reached_under_its_pod_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "pod-1")
    monkeypatch.setattr(socket, "gethostbyname", {"pod-1": "10.0.0.7"}.__getitem__)
    settings = KubernetesSettings.from_env({**ENV, "FLSTORE_PORT": "9000"})
    assert (settings.identity, settings.address) == ("pod-1", "http://10.0.0.7:9000")

    def unknown(name: str) -> str:
        raise OSError(f"no address of {name}")

    monkeypatch.setattr(socket, "gethostbyname", unknown)
    assert KubernetesSettings.from_env(ENV).address == ""
