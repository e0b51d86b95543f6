"""What the program asks of the cluster: the release, its pods, and a way to its gateway."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import helm_python
import httpx
from kubernetes import client, config

from manifests.chart import CHART
from tests.servers import free_ports, wait_until

Json = dict[str, Any]

RELEASE = "flstore"
TIMEOUT_S = 600
KNATIVE = ("serving.knative.dev", "v1", "services")
FLJOBS = ("flstore.dev", "v1alpha1", "fljobs")
LEASES = ("coordination.k8s.io", "v1", "leases")


class Cluster:
    """One namespace of a cluster, made for this run."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.namespace = namespace
        self._kubeconfig = kubeconfig
        api = config.new_client_from_config(str(kubeconfig))
        self.core = client.CoreV1Api(api)
        self.apps = client.AppsV1Api(api)
        self.custom = client.CustomObjectsApi(api)
        self._helm = helm_python.Config(kubeconfig_path=kubeconfig, namespace=namespace)

    def install(self, values: Json) -> None:
        self._helm.install(
            str(CHART),
            RELEASE,
            values,
            namespace=self.namespace,
            create_namespace=True,
            wait="watcher",
            timeout=TIMEOUT_S,
        )

    def test(self) -> str:
        """Run the chart's own hook and return its log."""
        return str(self._helm.test(RELEASE, timeout=TIMEOUT_S, logs=True).get("logs", ""))

    def upgrade(self, values: Json) -> None:
        self._helm.upgrade(str(CHART), RELEASE, values, namespace=self.namespace, wait="watcher", timeout=TIMEOUT_S)

    def uninstall(self) -> None:
        self._helm.uninstall(RELEASE, wait="watcher", timeout=TIMEOUT_S)

    def pods(self, component: str) -> list[str]:
        """Return the names of the release's pods of one part that serve and are not on their way out."""
        return list(self.lives(component))

    def lives(self, component: str) -> dict[str, str]:
        """Return the same pods, each with its UID: a stateful set gives the next pod the name of the one before."""
        found = self._all_pods(component)
        serving = [pod.metadata for pod in found if pod.metadata.deletion_timestamp is None and _is_ready(pod)]
        return {each.name: each.uid for each in serving}

    def is_free_of(self, component: str) -> bool:
        """Say whether one part has no pod, not even one on its way out."""
        return not self._all_pods(component)

    def _all_pods(self, component: str) -> list[Any]:
        selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={component}"
        return list(self.core.list_namespaced_pod(self.namespace, label_selector=selector).items)

    def kill(self, pod: str) -> None:
        """End a pod as a lost node would: at once."""
        self.core.delete_namespaced_pod(pod, self.namespace, grace_period_seconds=0)

    def evict(self, pod: str) -> None:
        """Ask for a pod to go as a drain of its node does, which a disruption budget may refuse."""
        body = client.V1Eviction(metadata=client.V1ObjectMeta(name=pod, namespace=self.namespace))
        self.core.create_namespaced_pod_eviction(pod, self.namespace, body)

    def restarts(self, component: str) -> int:
        """Return how often containers of one part have ended and were started again in their pods."""
        statuses = [status for pod in self._all_pods(component) for status in pod.status.container_statuses or ()]
        return sum(status.restart_count for status in statuses)

    def scale(self, component: str, replicas: int) -> None:
        """Ask for so many pods of one part, a deployment."""
        body = {"spec": {"replicas": replicas}}
        self.apps.patch_namespaced_deployment_scale(f"{RELEASE}-{component}", self.namespace, body)

    def change_job(self, name: str, spec: Json) -> None:
        """Change a job's FLJob object, and return once the controller has taken it; a field that is None goes."""
        group, version, plural = FLJOBS
        wait_until(lambda: self._fljob(name) is not None, f"an FLJob {name}", TIMEOUT_S)
        self.custom.patch_namespaced_custom_object(group, version, self.namespace, plural, name, {"spec": spec})
        wait_until(lambda: _is_observed(self._fljob(name)), f"the controller observing FLJob {name}", TIMEOUT_S)

    def _fljob(self, name: str) -> Json | None:
        group, version, plural = FLJOBS
        items = self.custom.list_namespaced_custom_object(group, version, self.namespace, plural)["items"]
        return next((item for item in items if item["metadata"]["name"] == name), None)

    def read(self, pod: str, port: int, path: str, **query: str) -> str:
        """Return what a pod answers to a GET that the API server hands on to it."""
        api = self.core.api_client
        url = f"{api.configuration.host}/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy/{path}"
        answer = api.call_api("GET", f"{url}?{urlencode(query)}")
        body: bytes = answer.read()
        return body.decode()

    def leftovers(self) -> list[str]:
        """Return everything of the release that is still there."""
        core, apps, namespace = self.core, self.apps, self.namespace
        lists = {
            "pod": core.list_namespaced_pod,
            "service": core.list_namespaced_service,
            "configmap": core.list_namespaced_config_map,
            "secret": core.list_namespaced_secret,
            "volume claim": core.list_namespaced_persistent_volume_claim,
            "deployment": apps.list_namespaced_deployment,
            "stateful set": apps.list_namespaced_stateful_set,
        }
        selector = f"app.kubernetes.io/instance={RELEASE}"
        found = [
            f"{kind} {item.metadata.name}"
            for kind, query in lists.items()
            for item in query(namespace, label_selector=selector).items
        ]
        for group, version, plural in (KNATIVE, FLJOBS, LEASES):
            items = self.custom.list_namespaced_custom_object(group, version, namespace, plural)["items"]
            found += [f"{plural} {item['metadata']['name']}" for item in items]
        return found

    def remove_namespace(self) -> None:
        self.core.delete_namespace(self.namespace)
        self._helm.close()

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """Yield the gateway's URL."""
        if url := os.environ.get("FLSTORE_E2E_URL"):
            yield url.rstrip("/")
            return
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise FileNotFoundError("kubectl is missing; install it, or set FLSTORE_E2E_URL to where the gateway is")
        [port] = free_ports(1)
        command = [kubectl, "--kubeconfig", str(self._kubeconfig), "--namespace", self.namespace]
        command += ["port-forward", f"service/{RELEASE}-gateway", f"{port}:80", "--address", "127.0.0.1"]
        url = f"http://127.0.0.1:{port}"
        with Forwarding(command) as forwarding:
            wait_until(lambda: forwarding.reaches(f"{url}/readyz"), "the gateway answering", 60)
            yield url


class Forwarding:
    """`kubectl port-forward`, begun again when it ends: it may have chosen a pod on its way out."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def reaches(self, url: str) -> bool:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        return answers(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def _is_observed(item: Json | None) -> bool:
    status = (item or {}).get("status") or {}
    return item is not None and status.get("observedGeneration") == item["metadata"]["generation"]


def _is_ready(pod: client.V1Pod) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False
