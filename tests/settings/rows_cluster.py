"""Rows of the settings that a controller on Kubernetes reads: what becomes of them in the objects it makes."""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from flstore_core.ids import ShardId
from services.placement.kube.cluster import Cluster
from services.placement.kube.election import Election
from services.placement.kube.settings import KubernetesSettings
from services.placement.runtime.base import BackendSpec, Kind
from services.placement.runtime.knative.manifest import Release, make_service, service_url
from tests.settings.row import Env, Row

NEEDED = {"FLSTORE_NAMESPACE": "fl", "FLSTORE_SHARD_IMAGE": "image:1", "FLSTORE_PREDICTOR_IMAGE": "torch:1"}
SHARD = BackendSpec(ShardId("shard-0"), 2**20, "tailored", 0.0)
PREDICTOR = BackendSpec(ShardId("predictor-0"), 2**20, "tailored", 0.0, Kind.PREDICTOR)
SCALING = "autoscaling.knative.dev/"

Json = Any


def _settings(env: Env) -> KubernetesSettings:
    return KubernetesSettings.from_env({**NEEDED, **env})


def _service(look: Callable[[Json], object], spec: BackendSpec = SHARD) -> Callable[[Env], object]:
    """Return an observer of the Knative service of a backend."""
    return lambda env: look(make_service(spec, Release(_settings(env))))


def _pod(look: Callable[[Json], object], spec: BackendSpec = SHARD) -> Callable[[Env], object]:
    return _service(lambda service: look(service["spec"]["template"]["spec"]), spec)


def _container(look: Callable[[Json], object], spec: BackendSpec = SHARD) -> Callable[[Env], object]:
    return _pod(lambda pod: look(pod["containers"][0]), spec)


def _annotation(name: str) -> Callable[[Env], object]:
    return _service(lambda service: service["spec"]["template"]["metadata"]["annotations"][SCALING + name])


def _cluster(env: Env) -> Cluster:
    return Cluster(cast("Any", SimpleNamespace(namespace="fl")), _settings(env))


def _owner(name: str) -> Callable[[Env], object]:
    def observe(env: Env) -> object:
        (reference,) = asyncio.run(_cluster(env).owner.fetch_references())
        return reference[name]

    return observe


def _election(look: Callable[[Any], object]) -> Callable[[Env], object]:
    return lambda env: look(Election(_cluster(env), lambda lease: None))


OWNER = {"FLSTORE_OWNER_NAME": "owner", "FLSTORE_OWNER_UID": "uid"}
IN_SECRET: Json = [{"secretRef": {"name": "creds"}}]

CLUSTER: Mapping[str, Row] = {
    "NAMESPACE": Row("other", _service(lambda service: service["metadata"]["namespace"]), "other"),
    "RELEASE": Row("mine", _service(lambda service: service["metadata"]["name"]), "mine-shard-0"),
    "OWNER_NAME": Row("chart", _owner("name"), "chart", OWNER),
    "OWNER_KIND": Row("Deployment", _owner("kind"), "Deployment", OWNER),
    "OWNER_UID": Row("4711", _owner("uid"), "4711", OWNER),
    "SHARD_IMAGE": Row("image:2", _container(lambda container: container["image"]), "image:2"),
    "PREDICTOR_IMAGE": Row("torch:2", _container(lambda container: container["image"], PREDICTOR), "torch:2"),
    "SHARD_CPU": Row("3", _container(lambda container: container["resources"]["requests"]["cpu"]), "3"),
    "SHARD_MEMORY": Row("7Gi", _container(lambda container: container["resources"]["limits"]["memory"]), "7Gi"),
    "PREDICTOR_CPU": Row("3", _container(lambda container: container["resources"]["requests"]["cpu"], PREDICTOR), "3"),
    "PREDICTOR_MEMORY": Row(
        "7Gi", _container(lambda container: container["resources"]["limits"]["memory"], PREDICTOR), "7Gi"
    ),
    "PREDICTOR_RESOURCES": Row(
        '{"nvidia.com/gpu": 2}',
        _container(lambda container: container["resources"]["limits"].get("nvidia.com/gpu"), PREDICTOR),
        "2",
    ),
    "CONTAINER_CONCURRENCY": Row("3", _pod(lambda pod: pod["containerConcurrency"]), 3),
    "STABLE_WINDOW": Row("2m", _annotation("window"), "120s"),
    "SCALE_DOWN_DELAY": Row("15m", _annotation("scale-down-delay"), "900s"),
    "RETENTION": Row("5m", _annotation("scale-to-zero-pod-retention-period"), "300s"),
    "TIMEOUT_SECONDS": Row("400", _pod(lambda pod: pod["timeoutSeconds"]), 400),
    "STORE_SECRET": Row("creds", _container(lambda container: container.get("envFrom")), IN_SECRET),
    "KEYS_SECRET": Row(
        "keys",
        _container(lambda container: [each["valueFrom"] for each in container["env"] if "valueFrom" in each]),
        [{"secretKeyRef": {"name": "keys", "key": "FLSTORE_SERVICE_KEYS"}}],
    ),
    "SERVICE_ACCOUNT": Row("shards", _pod(lambda pod: pod.get("serviceAccountName")), "shards"),
    "LEASE_NAME": Row("mine", _election(lambda election: election._name), "mine"),
    "CLUSTER_DOMAIN": Row(
        "example.org",
        lambda env: service_url(_settings(env), "shard-0"),
        "http://flstore-shard-0.fl.svc.example.org",
    ),
    "IMAGE_PULL_POLICY": Row("Always", _container(lambda container: container["imagePullPolicy"]), "Always"),
    "ADDRESS": Row("http://me:1", _election(lambda election: election._me.address), "http://me:1"),
}
