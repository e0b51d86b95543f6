"""Makes the Knative service of a backend: a pure function from its specification to the object.

`docs/decisions/shards-as-knative-services.md` gives the reasons for its settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.common.proof import VARIABLE
from services.placement.kube.notation import has_gpu, parse_bytes
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
from services.placement.runtime.base import BackendSpec, Kind

PORT = 8080
"""Port of the process; queue-proxy forwards to it."""
USER_ID = 65532
"""User of the images. It is a number, because the kubelet cannot tell from a name whether the user is root."""
KEYS_ID = "flstore.dev/service-keys"
"""Annotation that says with which keys a pod was started."""
RETENTIONS_S = (0, 60, 120, 300, 600, 1200, 1800, 3600)
"""The retentions in use. There are few, because each change of the retention starts every backend once."""
RETENTION = "autoscaling.knative.dev/scale-to-zero-pod-retention-period"
"""Annotation that says how long the last pod stays after the autoscaler has decided to scale to zero."""

PROGRAM_SHARE = 0.9
"""Share of its memory that a predictor may allocate. A program that wants more is refused before the pod is killed."""

RUN_MARGIN_S = 5
"""Seconds before the end of the longest request at which a predictor ends a run."""

PROBE = {
    "httpGet": {"path": "/readyz", "port": PORT},
    "periodSeconds": 1,
    "timeoutSeconds": 5,
    "failureThreshold": 6,
}
"""How often the kubelet has queue-proxy ask the process whether it is ready.

Knative copies the period to queue-proxy's own probe. Without one, Kubernetes puts 10 s there. Queue-proxy then asks the
process every 50 ms, but the kubelet hangs up after 1 s, and comes again after 10: a process that needs 1.1 s is Ready
after 10. Only requests that the activator holds do not wait for that, because it asks queue-proxy itself. Six failures
take as long as Knative's three would have, so that a busy process stays in service.
"""

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
    """What all backends of a release have in common."""

    settings: KubernetesSettings
    owners: tuple[Json, ...] = ()
    """`ownerReferences` of every service."""
    retention_s: int = 0
    """Retention that the jobs' round intervals ask for. That of the settings applies if it is longer."""
    kept_retention: str | None = None
    """Retention of the one service that is made, whatever the jobs ask for; None for no such."""


def service_name(release: str, backend: str) -> str:
    return f"{release}-{backend}"


def service_url(settings: KubernetesSettings, backend: str) -> str:
    """Return the cluster-local URL of a backend, the same at zero and awake."""
    return f"http://{service_name(settings.release, backend)}.{settings.namespace}.svc.{settings.cluster_domain}"


def backend_selector(release: str) -> str:
    """Return the label selector of the services and pods of all backends of a release."""
    return f"{MANAGED_BY}={FIELD_MANAGER},{INSTANCE}={release},{SHARD}"


def round_up_retention(retention_s: float) -> int:
    """Return the shortest of `RETENTIONS_S` that is no shorter than `retention_s`, or the longest of all."""
    return next((step for step in RETENTIONS_S if step >= retention_s), RETENTIONS_S[-1])


def retention_of(service: Json) -> str | None:
    """Return the retention that a service has; None if it names none."""
    annotations: Mapping[str, str] = service["spec"]["template"].get("metadata", {}).get("annotations") or {}
    return annotations.get(RETENTION)


def make_service(spec: BackendSpec, release: Release) -> Json:
    """Return the Knative service of a backend, with exactly the fields that this controller owns."""
    settings = release.settings
    labels = {
        MANAGED_BY: FIELD_MANAGER,
        INSTANCE: settings.release,
        COMPONENT: spec.kind.value,
        SHARD: str(spec.id),
    }
    return {
        **KNATIVE_SERVICES.head(
            service_name(settings.release, spec.id),
            namespace=settings.namespace,
            labels={**labels, "networking.knative.dev/visibility": "cluster-local"},
            ownerReferences=list(release.owners),
        ),
        "spec": {
            "template": {
                "metadata": {"labels": labels, "annotations": {**_scaling(release), **_keys(settings)}},
                "spec": _pod(spec, release),
            }
        },
    }


def _scaling(release: Release) -> dict[str, str]:
    """Return the autoscaling annotations: one pod or none, and no activator in the path once it is awake."""
    settings = release.settings
    retention_s = min(max(settings.retention_s, release.retention_s), WINDOW_S[1])
    return {
        "autoscaling.knative.dev/min-scale": "0",
        "autoscaling.knative.dev/max-scale": "1",
        "autoscaling.knative.dev/target-burst-capacity": "0",
        "autoscaling.knative.dev/window": f"{settings.stable_window_s}s",
        "autoscaling.knative.dev/scale-down-delay": f"{settings.scale_down_delay_s}s",
        RETENTION: release.kept_retention or f"{retention_s}s",
    }


def _keys(settings: KubernetesSettings) -> dict[str, str]:
    """Return the annotation that starts pods anew when the keys between services change."""
    return {KEYS_ID: settings.keys_id} if settings.keys_secret else {}


def _pod(spec: BackendSpec, release: Release) -> Json:
    settings = release.settings
    return {
        "containerConcurrency": settings.container_concurrency,
        "timeoutSeconds": settings.timeout_s,
        "enableServiceLinks": False,
        **({"serviceAccountName": settings.service_account} if settings.service_account else {}),
        "containers": [_container(spec, settings)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _container(spec: BackendSpec, settings: KubernetesSettings) -> Json:
    image, cpu, memory = _resources(spec.kind, settings)
    devices = settings.predictor_resources if spec.kind is Kind.PREDICTOR else {}
    return {
        "name": spec.kind.value,
        "image": image,
        "imagePullPolicy": settings.pull_policy,
        "command": ["python", "-m", f"services.{spec.kind.value}"],
        "ports": [{"name": "http1", "containerPort": PORT}],
        "env": [
            *({"name": name, "value": value} for name, value in sorted(_env(spec, settings).items())),
            *_secret_env(settings),
        ],
        **({"envFrom": [{"secretRef": {"name": settings.store_secret}}]} if settings.store_secret else {}),
        "resources": {"requests": {"cpu": cpu, "memory": memory, **devices}, "limits": {"memory": memory, **devices}},
        "readinessProbe": PROBE,
        "securityContext": CONFINED,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own, empty at its start
    }


def _secret_env(settings: KubernetesSettings) -> list[Json]:
    """Return the variables whose values stay in a Secret."""
    if not settings.keys_secret:
        return []
    return [{"name": VARIABLE, "valueFrom": {"secretKeyRef": {"name": settings.keys_secret, "key": VARIABLE}}}]


def _resources(kind: Kind, settings: KubernetesSettings) -> tuple[str, str, str]:
    """Return image, cores and memory of the pods of a kind of backend."""
    if kind is Kind.PREDICTOR:
        return settings.predictor_image, settings.predictor_cpu, settings.predictor_memory
    return settings.shard_image, settings.shard_cpu, settings.shard_memory


def _env(spec: BackendSpec, settings: KubernetesSettings) -> dict[str, str]:
    """Return the environment; Knative adds HOSTNAME, K_SERVICE and K_REVISION."""
    return {
        **(_predictor_env(settings) if spec.kind is Kind.PREDICTOR else {}),
        **settings.shard_env,
        "FLSTORE_HOST": "0.0.0.0",  # noqa: S104 - a pod's own address, behind queue-proxy
        "FLSTORE_PORT": str(PORT),
        "FLSTORE_SHARD_ID": str(spec.id),
        "FLSTORE_CACHE_BYTES": str(spec.cache_bytes),
        "FLSTORE_POLICY": spec.policy,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _predictor_env(settings: KubernetesSettings) -> dict[str, str]:
    """Return a predictor's device, and what it may take.

    It ends a run with a word before Kubernetes or Knative do without.
    """
    return {
        **({"FLSTORE_DEVICE": "cuda"} if has_gpu(settings.predictor_resources) else {}),
        "FLSTORE_MEMORY_BYTES": str(int(PROGRAM_SHARE * parse_bytes(settings.predictor_memory))),
        "FLSTORE_RUN_SECONDS": str(settings.timeout_s - RUN_MARGIN_S),
    }
