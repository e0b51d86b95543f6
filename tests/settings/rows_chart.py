"""Rows of the chart's values: what a value is set to, and what becomes of it in the rendered objects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from flstore_core import __version__

Json = Any
Look = Callable[[list[Json]], object]


@dataclass(frozen=True)
class Value:
    """The test sets the value, and compares what is rendered with and without it."""

    value: Json
    look: Look
    expected: object
    beside: Mapping[str, Json] = field(default_factory=dict)
    """Other values, by their paths, that are set in both cases."""


def at(kind: str, name: str, *path: str | int) -> Look:
    """Return a look at one field of one object; None where there is no such object or field."""

    def look(objects: list[Json]) -> object:
        here: Json = next((each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)), None)
        for step in path:
            if isinstance(step, int):
                here = here[step] if here is not None and len(here) > step else None
            else:
                here = (here or {}).get(step)
        return here

    return look


def container(kind: str, name: str, *path: str | int) -> Look:
    return at(kind, name, "spec", "template", "spec", "containers", 0, *path)


def env(service: str, variable: str) -> Look:
    """Return a look at a variable of a service: its value, or the Secret's name that has it."""

    def look(objects: list[Json]) -> object:
        listed: Json = container("Deployment", f"flstore-{service}", "env")(objects)
        found: Json = next((each for each in listed if each["name"] == variable), {})
        return found.get("value") or found.get("valueFrom", {}).get("secretKeyRef", {}).get("name")

    return look


def has(kind: str, text: str) -> Look:
    """Return a look for a text in the objects of a kind."""
    return lambda objects: any(text in yaml.safe_dump(each) for each in objects if each["kind"] == kind)


def names(kind: str) -> Look:
    return lambda objects: [each["metadata"]["name"] for each in objects if each["kind"] == kind]


def pods(*path: str | int) -> Look:
    """Return a look at one field of the pods of gateway and controller."""
    return lambda objects: [
        at("Deployment", f"flstore-{service}", "spec", "template", "spec", *path)(objects)
        for service in ("gateway", "placement")
    ]


def _resources(path: str, kind: str, name: str, beside: Mapping[str, Json] | None = None) -> dict[str, Value]:
    """Return the rows of the three values of a container's resources."""
    limit = container(kind, name, "resources", "limits", "memory")
    return {
        f"{path}.requests.cpu": Value("7m", container(kind, name, "resources", "requests", "cpu"), "7m", beside or {}),
        f"{path}.requests.memory": Value(
            "7Mi", container(kind, name, "resources", "requests", "memory"), "7Mi", beside or {}
        ),
        f"{path}.limits.memory": Value("7Gi", limit, "7Gi", beside or {}),
    }


DIGEST = "sha256:" + 64 * "0"
TOKENS = '[{"token": "t"}]'
KEY = 43 * "k"
SCALER = ("HorizontalPodAutoscaler", "flstore-gateway", "spec")
OURS = {"observability.bundled": False}
STORE = ("StatefulSet", "flstore-store")
BUNDLED = "endpoint=http%3A%2F%2Fflstore-store.flstore.svc%3A9000"
PAIR = {"objectStore.accessKey": "someone", "objectStore.secretKey": "something"}
EXTERNAL = {
    "objectStore.kind": "external",
    "objectStore.endpoint": "https://s3.example.org",
    **PAIR,
}
SEAWEEDFS = {"objectStore.kind": "seaweedfs"}
JOB = {"schema": [{"name": "w", "dtype": "F32", "shape": [2]}]}
TOLERATION = {"key": "fl", "operator": "Exists"}

SHARED: Mapping[str, Value] = {
    "fullnameOverride": Value("mine", lambda objects: bool(at("Deployment", "mine-gateway")(objects)), True),
    "image.repository": Value("r/i", container("Deployment", "flstore-gateway", "image"), f"r/i:{__version__}"),
    "image.tag": Value("7", container("Deployment", "flstore-gateway", "image"), "kind.local/flstore:7"),
    "image.digest": Value(DIGEST, env("placement", "FLSTORE_SHARD_IMAGE"), f"kind.local/flstore@{DIGEST}"),
    "image.pullPolicy": Value("Always", env("placement", "FLSTORE_IMAGE_PULL_POLICY"), "Always"),
    "torchImage.repository": Value("r/t", env("placement", "FLSTORE_PREDICTOR_IMAGE"), f"r/t:{__version__}"),
    "torchImage.tag": Value("7", env("placement", "FLSTORE_PREDICTOR_IMAGE"), "kind.local/flstore-torch:7"),
    "torchImage.digest": Value(
        DIGEST, env("placement", "FLSTORE_PREDICTOR_IMAGE"), f"kind.local/flstore-torch@{DIGEST}"
    ),
    "imagePullSecrets": Value(["mine"], pods("imagePullSecrets"), 2 * [[{"name": "mine"}]]),
    "logLevel": Value("DEBUG", env("gateway", "FLSTORE_LOG_LEVEL"), "DEBUG"),
    "serviceAccounts.annotations": Value(
        {"role": "mine"}, at("ServiceAccount", "flstore-shard", "metadata", "annotations", "role"), "mine"
    ),
    "jobs": Value({"digits": JOB}, names("FLJob"), ["digits"]),
    "nodeSelector": Value({"pool": "fl"}, pods("nodeSelector", "pool"), ["fl", "fl"]),
    "tolerations": Value([TOLERATION], pods("tolerations"), 2 * [[TOLERATION]]),
    "auth.tokens": Value(TOKENS, env("gateway", "FLSTORE_TOKENS"), "flstore-tokens"),
    "auth.existingSecret": Value("mine", env("gateway", "FLSTORE_TOKENS"), "mine"),
    "auth.serviceKeys": Value(KEY, at("Secret", "flstore-keys", "stringData", "FLSTORE_SERVICE_KEYS"), KEY),
    "auth.metricsToken": Value("m", at("Secret", "flstore-keys", "stringData", "FLSTORE_METRICS_TOKEN"), "m"),
    "auth.serviceKeysSecret": Value("mine", env("placement", "FLSTORE_KEYS_SECRET"), "mine"),
    "auth.admitUnsigned": Value(True, env("placement", "FLSTORE_ADMIT_UNSIGNED"), "true"),
    "networkPolicy.enabled": Value(False, names("NetworkPolicy"), []),
    "networkPolicy.metricsFrom": Value({"team": "watchers"}, has("NetworkPolicy", "team: watchers"), True),
    "knative.namespaces": Value(["mesh"], has("NetworkPolicy", "- mesh"), True),
}

GATEWAY: Mapping[str, Value] = {
    "gateway.replicas": Value(
        3, at("Deployment", "flstore-gateway", "spec", "replicas"), 3, {"gateway.autoscaling.enabled": False}
    ),
    "gateway.autoscaling.enabled": Value(False, names("HorizontalPodAutoscaler"), []),
    "gateway.autoscaling.minReplicas": Value(2, at(*SCALER, "minReplicas"), 2),
    "gateway.autoscaling.maxReplicas": Value(9, at(*SCALER, "maxReplicas"), 9),
    "gateway.autoscaling.targetCPUUtilizationPercentage": Value(
        50, at(*SCALER, "metrics", 0, "resource", "target", "averageUtilization"), 50
    ),
    "gateway.service.type": Value("NodePort", at("Service", "flstore-gateway", "spec", "type"), "NodePort"),
    "gateway.service.port": Value(8443, at("Service", "flstore-gateway", "spec", "ports", 0, "port"), 8443),
    "gateway.service.nodePort": Value(
        30080,
        at("Service", "flstore-gateway", "spec", "ports", 0, "nodePort"),
        30080,
        {"gateway.service.type": "NodePort"},
    ),
    "gateway.uploadLimit": Value("64MiB", env("gateway", "FLSTORE_UPLOAD_LIMIT"), str(2**26)),
    "gateway.inFlightBytes": Value("64MiB", env("gateway", "FLSTORE_IN_FLIGHT_BYTES"), str(2**26)),
    "gateway.uploadPatienceSeconds": Value(7, env("gateway", "FLSTORE_UPLOAD_PATIENCE_SECONDS"), "7"),
    "gateway.recordsBytes": Value("64MiB", env("gateway", "FLSTORE_RECORDS_BYTES"), str(2**26)),
    "gateway.modelsBytes": Value("64MiB", env("gateway", "FLSTORE_MODELS_BYTES"), str(2**26)),
    "gateway.connectionRequests": Value(7, env("gateway", "FLSTORE_CONNECTION_REQUESTS"), "7"),
    "gateway.connectionSeconds": Value(7, env("gateway", "FLSTORE_CONNECTION_SECONDS"), "7"),
    "gateway.questionBytes": Value("64MiB", env("gateway", "FLSTORE_QUESTION_BYTES"), str(2**26)),
    "gateway.refreshSeconds": Value(7, env("gateway", "FLSTORE_REFRESH_SECONDS"), "7"),
    "gateway.shardTimeoutSeconds": Value(7, env("gateway", "FLSTORE_SHARD_TIMEOUT_SECONDS"), "7"),
    "gateway.threads": Value(7, env("gateway", "FLSTORE_THREADS"), "7"),
    "gateway.graceSeconds": Value(7, env("gateway", "FLSTORE_GRACE_SECONDS"), "7"),
    **_resources("gateway.resources", "Deployment", "flstore-gateway"),
}

BACKENDS: Mapping[str, Value] = {
    "placement.replicas": Value(3, at("Deployment", "flstore-placement", "spec", "replicas"), 3),
    "placement.resyncSeconds": Value(7, env("placement", "FLSTORE_RESYNC_SECONDS"), "7"),
    **_resources("placement.resources", "Deployment", "flstore-placement"),
    "shards.count": Value(7, env("placement", "FLSTORE_SHARDS"), "7"),
    "shards.cacheBytes": Value("64MiB", env("placement", "FLSTORE_CACHE_BYTES"), str(2**26)),
    "shards.policy": Value("lru", env("placement", "FLSTORE_POLICY"), "lru"),
    "shards.cpu": Value("7m", env("placement", "FLSTORE_SHARD_CPU"), "7m"),
    "shards.memory": Value("7Gi", env("placement", "FLSTORE_SHARD_MEMORY"), "7Gi"),
    "shards.containerConcurrency": Value(7, env("placement", "FLSTORE_CONTAINER_CONCURRENCY"), "7"),
    "shards.stableWindow": Value("7s", env("placement", "FLSTORE_STABLE_WINDOW"), "7s"),
    "shards.scaleDownDelay": Value("7s", env("placement", "FLSTORE_SCALE_DOWN_DELAY"), "7s"),
    "shards.retention": Value("7s", env("placement", "FLSTORE_RETENTION"), "7s"),
    "shards.timeoutSeconds": Value(400, env("placement", "FLSTORE_TIMEOUT_SECONDS"), "400"),
    "predictors.count": Value(7, env("placement", "FLSTORE_PREDICTORS"), "7"),
    "predictors.cacheBytes": Value("64MiB", env("placement", "FLSTORE_PREDICTOR_CACHE_BYTES"), str(2**26)),
    "predictors.cpu": Value("7m", env("placement", "FLSTORE_PREDICTOR_CPU"), "7m"),
    "predictors.resources": Value(
        {"nvidia.com/gpu": 2}, env("placement", "FLSTORE_PREDICTOR_RESOURCES"), '{"nvidia.com/gpu":2}'
    ),
    "predictors.memory": Value("7Gi", env("placement", "FLSTORE_PREDICTOR_MEMORY"), "7Gi"),
}

OBJECT_STORE: Mapping[str, Value] = {
    "objectStore.kind": Value("seaweedfs", has("StatefulSet", "seaweedfs"), True),
    "objectStore.endpoint": Value(
        "https://s3.example.net",
        env("gateway", "FLSTORE_STORE"),
        "s3://flstore?endpoint=https%3A%2F%2Fs3.example.net&region=us-east-1",
        EXTERNAL,
    ),
    "objectStore.bucket": Value("mine", env("gateway", "FLSTORE_STORE"), f"s3://mine?{BUNDLED}&region=us-east-1"),
    "objectStore.prefix": Value(
        "p",
        env("gateway", "FLSTORE_STORE"),
        f"s3://flstore/p?{BUNDLED}&region=us-east-1",
    ),
    "objectStore.region": Value("r", env("gateway", "FLSTORE_STORE"), f"s3://flstore?{BUNDLED}&region=r"),
    "objectStore.style": Value(
        "virtual",
        env("gateway", "FLSTORE_STORE"),
        "s3://flstore?endpoint=https%3A%2F%2Fs3.example.org&region=us-east-1&style=virtual",
        EXTERNAL,
    ),
    "objectStore.credentials": Value(
        "ambient", env("placement", "FLSTORE_STORE_SECRET"), None, {"objectStore.kind": "external"}
    ),
    "objectStore.existingSecret": Value("mine", env("placement", "FLSTORE_STORE_SECRET"), "mine"),
    "objectStore.readerSecret": Value("mine", env("placement", "FLSTORE_STORE_SECRET"), "mine"),
    "objectStore.accessKey": Value(
        "mine",
        at("Secret", "flstore-store", "stringData", "FLSTORE_S3_ACCESS_KEY"),
        "mine",
        PAIR,
    ),
    "objectStore.secretKey": Value(
        "another one",
        at("Secret", "flstore-store", "stringData", "FLSTORE_S3_SECRET_KEY"),
        "another one",
        PAIR,
    ),
    "objectStore.keepData": Value(
        False, at(*STORE, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"), "Delete"
    ),
    "objectStore.giveUpSeconds": Value(7, env("gateway", "FLSTORE_S3_GIVE_UP_S"), "7"),
    "objectStore.minio.image": Value("m:7", container(*STORE, "image"), "m:7"),
    "objectStore.seaweedfs.image": Value("s:7", container(*STORE, "image"), "s:7", SEAWEEDFS),
    "objectStore.storage.size": Value(
        "7Gi", at(*STORE, "spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage"), "7Gi"
    ),
    "objectStore.storage.className": Value(
        "fast", at(*STORE, "spec", "volumeClaimTemplates", 0, "spec", "storageClassName"), "fast"
    ),
    **_resources("objectStore.resources", *STORE),
}

OBSERVABILITY: Mapping[str, Value] = {
    "observability.bundled": Value(False, at("Deployment", "flstore-grafana"), None),
    "observability.prometheus.image": Value("p:7", container("Deployment", "flstore-prometheus", "image"), "p:7"),
    "observability.prometheus.retention": Value("7d", has("Deployment", "--storage.tsdb.retention.time=7d"), True),
    "observability.prometheus.scrapeSeconds": Value(7, has("ConfigMap", "scrape_interval: 7s"), True),
    **_resources("observability.prometheus.resources", "Deployment", "flstore-prometheus"),
    "observability.grafana.image": Value("g:7", container("Deployment", "flstore-grafana", "image"), "g:7"),
    "observability.grafana.nodePort": Value(
        30300, at("Service", "flstore-grafana", "spec", "ports", 0, "nodePort"), 30300
    ),
    "observability.grafana.adminPassword": Value(
        "mine", at("Secret", "flstore-grafana", "stringData", "admin-password"), "mine"
    ),
    "observability.grafana.anonymous": Value(False, env("grafana", "GF_AUTH_ANONYMOUS_ENABLED"), "false"),
    **_resources("observability.grafana.resources", "Deployment", "flstore-grafana"),
    "observability.otlp.endpoint": Value(
        "http://collector:4318", env("gateway", "OTEL_EXPORTER_OTLP_ENDPOINT"), "http://collector:4318"
    ),
    "observability.podMonitor.enabled": Value(True, names("PodMonitor"), ["flstore-pods"], OURS),
    "observability.podMonitor.labels": Value(
        {"team": "mine"},
        at("PodMonitor", "flstore-pods", "metadata", "labels", "team"),
        "mine",
        {**OURS, "observability.podMonitor.enabled": True},
    ),
    "observability.dashboards.enabled": Value(False, at("ConfigMap", "flstore-dashboard-cache"), None, OURS),
    "observability.dashboards.labels.grafana_dashboard": Value(
        "7", at("ConfigMap", "flstore-dashboard-cache", "metadata", "labels", "grafana_dashboard"), "7", OURS
    ),
}

_RUNTIME = ("ClusterServingRuntime", "flstore", "spec", "containers", 0, "resources")
_SERVED: Mapping[str, Json] = {"kserve.enabled": True}

KSERVE: Mapping[str, Value] = {
    "kserve.enabled": Value(True, names("ClusterServingRuntime"), ["flstore"]),
    "kserve.tokenSecret": Value("mine", has("ClusterStorageContainer", "name: mine"), True, _SERVED),
    "kserve.resources.requests.cpu": Value("7m", at(*_RUNTIME, "requests", "cpu"), "7m", _SERVED),
    "kserve.resources.requests.memory": Value("7Mi", at(*_RUNTIME, "requests", "memory"), "7Mi", _SERVED),
    "kserve.resources.limits.memory": Value("7Gi", at(*_RUNTIME, "limits", "memory"), "7Gi", _SERVED),
}

_SHOWN: Mapping[str, Json] = {"console.enabled": True}
_CONSOLE = ("Service", "flstore-console", "spec")
_CONSOLE_IMAGE = container("Deployment", "flstore-console", "image")

CONSOLE: Mapping[str, Value] = {
    "consoleImage.repository": Value("r/c", _CONSOLE_IMAGE, f"r/c:{__version__}", _SHOWN),
    "consoleImage.tag": Value("7", _CONSOLE_IMAGE, "kind.local/flstore-console:7", _SHOWN),
    "consoleImage.digest": Value(DIGEST, _CONSOLE_IMAGE, f"kind.local/flstore-console@{DIGEST}", _SHOWN),
    "console.enabled": Value(True, lambda objects: bool(at("Deployment", "flstore-console")(objects)), True),
    "console.url": Value(":8090", env("gateway", "FLSTORE_CONSOLE_URL"), ":8090", _SHOWN),
    "console.rootPath": Value("/console", env("console", "FLSTORE_ROOT_PATH"), "/console", _SHOWN),
    "console.apiUrl": Value(
        "https://fl.example.org", env("console", "FLSTORE_CONSOLE_API_URL"), "https://fl.example.org", _SHOWN
    ),
    "console.grafanaUrl": Value(
        "https://g.example.org", env("console", "FLSTORE_CONSOLE_GRAFANA_URL"), "https://g.example.org", _SHOWN
    ),
    "console.sessionSeconds": Value(7, env("console", "FLSTORE_CONSOLE_SESSION_SECONDS"), "7", _SHOWN),
    "console.service.type": Value("LoadBalancer", at(*_CONSOLE, "type"), "LoadBalancer", _SHOWN),
    "console.service.port": Value(8443, at(*_CONSOLE, "ports", 0, "port"), 8443, _SHOWN),
    "console.service.nodePort": Value(
        30090, at(*_CONSOLE, "ports", 0, "nodePort"), 30090, {**_SHOWN, "console.service.type": "NodePort"}
    ),
    **_resources("console.resources", "Deployment", "flstore-console", _SHOWN),
}
