"""Settings of the controller on Kubernetes, beside those it has everywhere (`services.placement.settings`)."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from flstore_core.errors import InvalidParameters
from flstore_core.units import format_size
from services.common.memory import CACHE_SHARE
from services.placement.kube import quantities

WINDOW_S = (6, 3600)
"""Knative's own bounds of a stable window; its upper one bounds delay and retention too."""

OWNER_KINDS = {"ConfigMap": "v1", "Deployment": "apps/v1"}
"""Kind → apiVersion of what may own a release's objects."""


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """Where this release lives in the cluster and what its shards are made of."""

    namespace: str
    """FLSTORE_NAMESPACE: the only namespace that is looked at."""
    release: str = "flstore"
    """FLSTORE_RELEASE: label value and name prefix of everything made here."""
    owner_name: str = ""
    """FLSTORE_OWNER_NAME: the object whose end is the end of everything made here, so that an uninstall leaves none."""
    owner_kind: str = "ConfigMap"
    """FLSTORE_OWNER_KIND: `ConfigMap` or `Deployment`."""
    owner_uid: str = ""
    """FLSTORE_OWNER_UID: its uid; looked up when empty, as a chart cannot know it."""
    shard_image: str = ""
    """FLSTORE_SHARD_IMAGE: image of shards."""
    predictor_image: str = ""
    """FLSTORE_PREDICTOR_IMAGE: image of predictors; none are made when empty."""
    shard_cpu: str = "500m"
    """FLSTORE_SHARD_CPU: cores that a shard is scheduled with; it may use more when they are free."""
    shard_memory: str = "1Gi"
    """FLSTORE_SHARD_MEMORY: memory that a shard gets, and its limit; the cache may be 60 % of it."""
    predictor_cpu: str = "1"
    """FLSTORE_PREDICTOR_CPU: cores that a predictor is scheduled with."""
    predictor_memory: str = "2Gi"
    """FLSTORE_PREDICTOR_MEMORY: memory that a predictor gets, and its limit."""
    container_concurrency: int = 8
    """FLSTORE_CONTAINER_CONCURRENCY: requests at once in one shard; queue-proxy holds ten times as many more."""
    stable_window_s: int = 60
    """FLSTORE_STABLE_WINDOW: over how long the autoscaler averages."""
    scale_down_delay_s: int = 0
    """FLSTORE_SCALE_DOWN_DELAY: how long fewer requests must last before pods go."""
    retention_s: int = 60
    """FLSTORE_RETENTION: how long the last pod stays after the autoscaler wants none; round intervals raise it."""
    timeout_s: int = 300
    """FLSTORE_TIMEOUT_SECONDS: longest request, and grace of a pod that leaves; 120 to 600."""
    store_secret: str = ""
    """FLSTORE_STORE_SECRET: Secret whose keys become environment variables of shards: the store's credentials."""
    service_account: str = ""
    """FLSTORE_SERVICE_ACCOUNT: of shards; the namespace's default when empty."""
    lease_name: str = "flstore-placement"
    """FLSTORE_LEASE_NAME: the Lease by which one of several controllers leads."""
    cluster_domain: str = "cluster.local"
    """FLSTORE_CLUSTER_DOMAIN: domain of cluster-local addresses."""
    pull_policy: str = "IfNotPresent"
    """FLSTORE_IMAGE_PULL_POLICY: when nodes fetch the image."""
    identity: str = "placement"
    """HOSTNAME: this controller's name among those that may lead."""
    address: str = ""
    """FLSTORE_ADDRESS: where other controllers reach this one; `http://<pod's address>:<FLSTORE_PORT>` when empty."""
    shard_env: Mapping[str, str] = field(default_factory=dict)
    """What shards inherit of this controller's environment."""

    def __post_init__(self) -> None:
        if not self.namespace or not self.shard_image:
            raise InvalidParameters("FLSTORE_NAMESPACE and FLSTORE_SHARD_IMAGE must be set for FLSTORE_RUNTIME=knative")
        if self.owner_kind not in OWNER_KINDS:
            raise InvalidParameters(f"FLSTORE_OWNER_KIND is {self.owner_kind!r}; use one of {sorted(OWNER_KINDS)}")
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
        """Raise `InvalidParameters` when a cache of that size does not fit the memory of its pod."""
        pools = (("", self.shard_memory, cache_bytes), ("PREDICTOR_", self.predictor_memory, predictor_cache_bytes))
        for pool, memory, wanted in pools:
            limit = f"FLSTORE_{pool or 'SHARD_'}MEMORY"
            most = int(CACHE_SHARE * quantities.nbytes(limit, memory))
            if wanted > most:
                raise InvalidParameters(
                    f"FLSTORE_{pool}CACHE_BYTES is {format_size(wanted)}, over 60 % of {limit}, {memory}; "
                    f"use at most {format_size(most)}, or raise {limit}"
                )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "KubernetesSettings":
        """Raises `InvalidParameters` for what is missing, unreadable or out of range."""
        return cls(
            namespace=env.get("FLSTORE_NAMESPACE", ""),
            release=_text(env, "FLSTORE_RELEASE", "flstore"),
            owner_name=env.get("FLSTORE_OWNER_NAME", ""),
            owner_kind=_text(env, "FLSTORE_OWNER_KIND", "ConfigMap"),
            owner_uid=env.get("FLSTORE_OWNER_UID", ""),
            shard_image=env.get("FLSTORE_SHARD_IMAGE", ""),
            predictor_image=env.get("FLSTORE_PREDICTOR_IMAGE", ""),
            shard_cpu=quantities.cpu("FLSTORE_SHARD_CPU", _text(env, "FLSTORE_SHARD_CPU", "500m")),
            shard_memory=_memory(env, "FLSTORE_SHARD_MEMORY", "1Gi"),
            predictor_cpu=quantities.cpu("FLSTORE_PREDICTOR_CPU", _text(env, "FLSTORE_PREDICTOR_CPU", "1")),
            predictor_memory=_memory(env, "FLSTORE_PREDICTOR_MEMORY", "2Gi"),
            container_concurrency=_whole(env, "FLSTORE_CONTAINER_CONCURRENCY", 8),
            stable_window_s=_seconds(env, "FLSTORE_STABLE_WINDOW", "60s"),
            scale_down_delay_s=_seconds(env, "FLSTORE_SCALE_DOWN_DELAY", "0s"),
            retention_s=_seconds(env, "FLSTORE_RETENTION", "60s"),
            timeout_s=_whole(env, "FLSTORE_TIMEOUT_SECONDS", 300),
            store_secret=env.get("FLSTORE_STORE_SECRET", ""),
            service_account=env.get("FLSTORE_SERVICE_ACCOUNT", ""),
            lease_name=_text(env, "FLSTORE_LEASE_NAME", "flstore-placement"),
            cluster_domain=_text(env, "FLSTORE_CLUSTER_DOMAIN", "cluster.local"),
            pull_policy=_text(env, "FLSTORE_IMAGE_PULL_POLICY", "IfNotPresent"),
            identity=_text(env, "HOSTNAME", socket.gethostname()),
            address=env.get("FLSTORE_ADDRESS") or _own_address(_text(env, "FLSTORE_PORT", "8000")),
            shard_env={name: env[name] for name in INHERITED if env.get(name)},
        )


INHERITED = ("FLSTORE_STORE", "FLSTORE_S3_ENDPOINT", "FLSTORE_S3_GIVE_UP_S", "FLSTORE_LOG_LEVEL")
"""Variables that shards are given as this controller has them; credentials come from the Secret."""


def _text(env: Mapping[str, str], name: str, default: str) -> str:
    return env.get(name) or default


def _whole(env: Mapping[str, str], name: str, default: int) -> int:
    text = _text(env, name, str(default))
    if not text.isdecimal():
        raise InvalidParameters(f"{name} is {text!r}; use a whole number")
    return int(text)


def _seconds(env: Mapping[str, str], name: str, default: str) -> int:
    text = _text(env, name, default)
    return int(text) if text.isdecimal() else quantities.seconds(name, text)


def _memory(env: Mapping[str, str], name: str, default: str) -> str:
    text = _text(env, name, default)
    quantities.nbytes(name, text)
    return text


def _own_address(port: str) -> str:
    """Return the URL of this pod, whose address is under its own host name in /etc/hosts; "" where there is none."""
    with suppress(OSError):
        return f"http://{socket.gethostbyname(socket.gethostname())}:{port}"
    return ""
