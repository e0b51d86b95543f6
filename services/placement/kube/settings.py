"""Settings of the controller on Kubernetes, in addition to `services.placement.settings`."""

import hashlib
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from flstore_core.errors import InvalidParameters
from flstore_core.units import format_size, parse_natural
from services.common.memory import CACHE_SHARE
from services.common.proof import UNSIGNED, VARIABLE
from services.common.settings import Variables, read
from services.placement.kube.notation import check_cpu, parse_bytes, parse_duration, parse_extended_resources
from services.placement.kube.resources import OWNERS

WINDOW_S = (6, 3600)
"""Knative's least and greatest stable window, in seconds. The upper bound also holds for delay and retention."""


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """Where this release lives in the cluster, and what the pods of its shards and predictors are made of."""

    namespace: str
    """FLSTORE_NAMESPACE: the only namespace that the controller reads or writes."""
    release: str = "flstore"
    """FLSTORE_RELEASE: label value and name prefix of everything the controller creates."""
    owner_name: str = ""
    """FLSTORE_OWNER_NAME: owner object; deleting it garbage-collects everything the controller created."""
    owner_kind: str = "ConfigMap"
    """FLSTORE_OWNER_KIND: `ConfigMap` or `Deployment`."""
    owner_uid: str = ""
    """FLSTORE_OWNER_UID: the owner's uid; looked up when empty, since a chart cannot know it."""
    shard_image: str = ""
    """FLSTORE_SHARD_IMAGE: image of shards."""
    predictor_image: str = ""
    """FLSTORE_PREDICTOR_IMAGE: image of predictors; no predictor is created when empty."""
    shard_cpu: str = "500m"
    """FLSTORE_SHARD_CPU: cores requested for a shard; it may use more when they are free."""
    shard_memory: str = "1Gi"
    """FLSTORE_SHARD_MEMORY: memory requested for a shard, and its limit; the cache may take 60 % of it."""
    predictor_cpu: str = "1"
    """FLSTORE_PREDICTOR_CPU: cores requested for a predictor."""
    predictor_memory: str = "2Gi"
    """FLSTORE_PREDICTOR_MEMORY: memory requested for a predictor, and its limit."""
    predictor_resources: Mapping[str, str] = field(default_factory=dict)
    """FLSTORE_PREDICTOR_RESOURCES: devices of each predictor, by extended resource; none by default."""
    container_concurrency: int = 8
    """FLSTORE_CONTAINER_CONCURRENCY: concurrent requests in one shard; queue-proxy queues ten times as many more."""
    stable_window_s: int = 60
    """FLSTORE_STABLE_WINDOW: seconds over which the autoscaler averages requests."""
    scale_down_delay_s: int = 0
    """FLSTORE_SCALE_DOWN_DELAY: seconds for which traffic must stay low before a pod is removed."""
    retention_s: int = 60
    """FLSTORE_RETENTION: seconds the last pod stays after the autoscaler wants none; round intervals raise it."""
    timeout_s: int = 300
    """FLSTORE_TIMEOUT_SECONDS: longest request, and grace period of a pod that ends; 120 to 600."""
    store_secret: str = ""
    """FLSTORE_STORE_SECRET: Secret with the store's credentials; its keys become environment variables of shards."""
    keys_secret: str = ""
    """FLSTORE_KEYS_SECRET: Secret with FLSTORE_SERVICE_KEYS, for shards and predictors."""
    keys_id: str = ""
    """A fingerprint of FLSTORE_SERVICE_KEYS, from which nobody can learn them. Pods with other keys are replaced."""
    service_account: str = ""
    """FLSTORE_SERVICE_ACCOUNT: service account of shards; the namespace's default when empty."""
    lease_name: str = "flstore-placement"
    """FLSTORE_LEASE_NAME: the Lease by which several controllers elect the one that leads."""
    cluster_domain: str = "cluster.local"
    """FLSTORE_CLUSTER_DOMAIN: domain of cluster-local addresses."""
    pull_policy: str = "IfNotPresent"
    """FLSTORE_IMAGE_PULL_POLICY: when nodes pull the image."""
    identity: str = "placement"
    """HOSTNAME: this controller's name in the election."""
    address: str = ""
    """FLSTORE_ADDRESS: where other controllers reach this one; `http://<pod's address>:<FLSTORE_PORT>` when empty."""
    shard_env: Mapping[str, str] = field(default_factory=dict)
    """The variables of `INHERITED` that are set in this controller's environment."""

    def __post_init__(self) -> None:
        if not self.namespace or not self.shard_image:
            raise InvalidParameters("FLSTORE_NAMESPACE and FLSTORE_SHARD_IMAGE must be set for FLSTORE_RUNTIME=knative")
        if self.owner_kind not in OWNERS:
            raise InvalidParameters(f"FLSTORE_OWNER_KIND is {self.owner_kind!r}; use one of {sorted(OWNERS)}")
        for name, value, least, most in self._bounds():
            if not least <= value <= most:
                raise InvalidParameters(f"{name} is {value}; use {least} to {most}")

    def _bounds(self) -> tuple[tuple[str, int, int, int], ...]:
        return (
            ("FLSTORE_CONTAINER_CONCURRENCY", self.container_concurrency, 1, 1000),
            ("FLSTORE_STABLE_WINDOW", self.stable_window_s, *WINDOW_S),
            ("FLSTORE_SCALE_DOWN_DELAY", self.scale_down_delay_s, 0, WINDOW_S[1]),
            ("FLSTORE_RETENTION", self.retention_s, 0, WINDOW_S[1]),
            ("FLSTORE_TIMEOUT_SECONDS", self.timeout_s, 120, 600),
        )

    def check_cache(self, cache_bytes: int, predictor_cache_bytes: int = 0) -> None:
        """Raise `InvalidParameters` if a cache of that size takes over 60 % of its pod's memory."""
        pools = (("", self.shard_memory, cache_bytes), ("PREDICTOR_", self.predictor_memory, predictor_cache_bytes))
        for pool, memory, nbytes in pools:
            limit = f"FLSTORE_{pool or 'SHARD_'}MEMORY"
            most = int(CACHE_SHARE * parse_bytes(memory))
            if nbytes > most:
                raise InvalidParameters(
                    f"FLSTORE_{pool}CACHE_BYTES is {format_size(nbytes)}, over 60 % of {limit}, {memory}; "
                    f"use at most {format_size(most)}, or raise {limit}"
                )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "KubernetesSettings":
        """Read the settings; raise `InvalidParameters` if one is missing, unreadable or out of range."""
        own = {
            "namespace": "",
            "identity": socket.gethostname(),
            "address": _find_own_address(env.get("FLSTORE_PORT") or "8000"),
            "shard_env": {name: env[name] for name in INHERITED if env.get(name)},
        }
        return cls(**own | read(env, VARIABLES))


INHERITED = (
    "FLSTORE_STORE",
    "FLSTORE_S3_ENDPOINT",
    "FLSTORE_S3_REGION",
    "FLSTORE_S3_STYLE",
    "FLSTORE_S3_GIVE_UP_S",
    "FLSTORE_LOG_LEVEL",
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_SAMPLER"),
    *("OTEL_TRACES_SAMPLER_ARG", "OTEL_RESOURCE_ATTRIBUTES"),
    UNSIGNED,
)
"""Variables that shards get with the controller's own values; credentials come from the Secret."""


def _parse_seconds(text: str) -> int:
    """Return whole seconds, written plainly or as a duration."""
    seconds = parse_natural(text, 10**9)
    return parse_duration(text) if seconds is None else seconds


def _check_memory(text: str) -> str:
    parse_bytes(text)
    return text


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


VARIABLES: Variables = {
    "FLSTORE_NAMESPACE": ("namespace", str),
    "FLSTORE_RELEASE": ("release", str),
    "FLSTORE_OWNER_NAME": ("owner_name", str),
    "FLSTORE_OWNER_KIND": ("owner_kind", str),
    "FLSTORE_OWNER_UID": ("owner_uid", str),
    "FLSTORE_SHARD_IMAGE": ("shard_image", str),
    "FLSTORE_PREDICTOR_IMAGE": ("predictor_image", str),
    "FLSTORE_SHARD_CPU": ("shard_cpu", check_cpu),
    "FLSTORE_SHARD_MEMORY": ("shard_memory", _check_memory),
    "FLSTORE_PREDICTOR_CPU": ("predictor_cpu", check_cpu),
    "FLSTORE_PREDICTOR_MEMORY": ("predictor_memory", _check_memory),
    "FLSTORE_PREDICTOR_RESOURCES": ("predictor_resources", parse_extended_resources),
    "FLSTORE_CONTAINER_CONCURRENCY": ("container_concurrency", int),
    "FLSTORE_STABLE_WINDOW": ("stable_window_s", _parse_seconds),
    "FLSTORE_SCALE_DOWN_DELAY": ("scale_down_delay_s", _parse_seconds),
    "FLSTORE_RETENTION": ("retention_s", _parse_seconds),
    "FLSTORE_TIMEOUT_SECONDS": ("timeout_s", int),
    "FLSTORE_STORE_SECRET": ("store_secret", str),
    "FLSTORE_KEYS_SECRET": ("keys_secret", str),
    VARIABLE: ("keys_id", _fingerprint),
    "FLSTORE_SERVICE_ACCOUNT": ("service_account", str),
    "FLSTORE_LEASE_NAME": ("lease_name", str),
    "FLSTORE_CLUSTER_DOMAIN": ("cluster_domain", str),
    "FLSTORE_IMAGE_PULL_POLICY": ("pull_policy", str),
    "HOSTNAME": ("identity", str),
    "FLSTORE_ADDRESS": ("address", str),
}


def _find_own_address(port: str) -> str:
    """Return the URL of this pod, by its entry in /etc/hosts; "" if its host name has no address."""
    with suppress(OSError):
        return f"http://{socket.gethostbyname(socket.gethostname())}:{port}"
    return ""
