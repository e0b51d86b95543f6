"""The controller's settings on Kubernetes: what is refused, and with what advice."""

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
