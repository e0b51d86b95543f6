"""What a shard or predictor is as a Knative service. Pure: specification in, object out."""

from dataclasses import dataclass

from services.placement.kube.resources import (
    COMPONENT,
    FIELD_MANAGER,
    INSTANCE,
    KNATIVE_SERVICES,
    MANAGED_BY,
    SHARD,
    Json,
)
from services.placement.kube.settings import WINDOW_S, KubernetesSettings
from services.placement.runtime.base import Kind, ShardSpec

PORT = 8080
"""Where the process listens; queue-proxy stands before it."""
USER_ID = 65532
"""The images' user; named in digits, so that the kubelet can see that it is not root."""
STEPS_S = (0, 60, 120, 300, 600, 1200, 1800, 3600)
"""Retention is one of these: each change rolls every shard, so that it should change seldom."""

CONFINED = {
    "runAsNonRoot": True,
    "runAsUser": USER_ID,
    "runAsGroup": USER_ID,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class Release:
    """What all shards of a release have in common."""

    settings: KubernetesSettings
    owners: tuple[Json, ...] = ()
    """`ownerReferences` of everything."""
    retention_s: int = 0
    """What the jobs' round intervals ask for; the settings' own is the least."""


def service_name(release: str, shard: str) -> str:
    return f"{release}-{shard}"


def address(settings: KubernetesSettings, shard: str) -> str:
    """Return the cluster-local URL, under which the shard is reached at zero and awake alike."""
    return f"http://{service_name(settings.release, shard)}.{settings.namespace}.svc.{settings.cluster_domain}"


def selector(release: str) -> str:
    """Return what selects the services and pods of both pools of a release."""
    return f"{MANAGED_BY}={FIELD_MANAGER},{INSTANCE}={release},{SHARD}"


def stepped(retention_s: float) -> int:
    """Return the least step that is no shorter than `retention_s`, or the longest there is."""
    return next((step for step in STEPS_S if step >= retention_s), STEPS_S[-1])


def manifest(spec: ShardSpec, release: Release) -> Json:
    """Return the Knative service of a shard, with the fields that this controller owns and no others."""
    settings = release.settings
    own = {
        MANAGED_BY: FIELD_MANAGER,
        INSTANCE: settings.release,
        COMPONENT: spec.kind.value,
        SHARD: str(spec.id),
    }
    return {
        **KNATIVE_SERVICES.head(
            service_name(settings.release, spec.id),
            namespace=settings.namespace,
            labels={**own, "networking.knative.dev/visibility": "cluster-local"},
            ownerReferences=list(release.owners),
        ),
        "spec": {
            "template": {"metadata": {"labels": own, "annotations": _scaling(release)}, "spec": _pod(spec, release)}
        },
    }


def _scaling(release: Release) -> dict[str, str]:
    """Return how the autoscaler treats a shard: one pod or none, no activator in the way once it is awake."""
    settings = release.settings
    retention = min(max(settings.retention_s, release.retention_s), WINDOW_S[1])
    return {
        "autoscaling.knative.dev/min-scale": "0",
        "autoscaling.knative.dev/max-scale": "1",
        "autoscaling.knative.dev/target-burst-capacity": "0",
        "autoscaling.knative.dev/window": f"{settings.stable_window_s}s",
        "autoscaling.knative.dev/scale-down-delay": f"{settings.scale_down_delay_s}s",
        "autoscaling.knative.dev/scale-to-zero-pod-retention-period": f"{retention}s",
    }


def _pod(spec: ShardSpec, release: Release) -> Json:
    settings = release.settings
    return {
        "containerConcurrency": settings.container_concurrency,
        "timeoutSeconds": settings.timeout_s,
        "enableServiceLinks": False,
        **({"serviceAccountName": settings.service_account} if settings.service_account else {}),
        "containers": [_container(spec, settings)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _container(spec: ShardSpec, settings: KubernetesSettings) -> Json:
    image, cpu, memory = _pool(spec.kind, settings)
    return {
        "name": spec.kind.value,
        "image": image,
        "imagePullPolicy": settings.pull_policy,
        "command": ["python", "-m", f"services.{spec.kind.value}"],
        "ports": [{"name": "http1", "containerPort": PORT}],
        "env": [{"name": name, "value": value} for name, value in sorted(_env(spec, settings).items())],
        **({"envFrom": [{"secretRef": {"name": settings.store_secret}}]} if settings.store_secret else {}),
        "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}},
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": PORT}
        },  # with no period, asked every 50 ms at the start
        "securityContext": CONFINED,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own, empty at its start
    }


def _pool(kind: Kind, settings: KubernetesSettings) -> tuple[str, str, str]:
    """Return image, cores and memory of a pool's pods."""
    if kind is Kind.PREDICTOR:
        return settings.predictor_image, settings.predictor_cpu, settings.predictor_memory
    return settings.shard_image, settings.shard_cpu, settings.shard_memory


def _env(spec: ShardSpec, settings: KubernetesSettings) -> dict[str, str]:
    """Return the environment; HOSTNAME, K_SERVICE and K_REVISION are there by themselves."""
    return {
        **settings.shard_env,
        "FLSTORE_HOST": "0.0.0.0",  # noqa: S104 - a pod's own address, behind queue-proxy
        "FLSTORE_PORT": str(PORT),
        "FLSTORE_SHARD_ID": str(spec.id),
        "FLSTORE_CACHE_BYTES": str(spec.cache_bytes),
        "FLSTORE_POLICY": spec.policy,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
