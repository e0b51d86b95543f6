"""What the documentation says of nodes is enough for what is installed on them."""

import re
from typing import Any

import yaml

from manifests import chart
from manifests.generated import ROOT
from tests.manifests.upstream import CONTROL_PLANE, KNATIVE, KOURIER, NOTHING, SERVING, Request

Json = dict[str, Any]
DOCS = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
KIND_VALUES: Json = yaml.safe_load((ROOT / "manifests/kind/values.yaml").read_text())
METRICS_SERVER = Request(100, 200)
"""Of minikube's addon (deploy/addons/metrics-server in kubernetes/minikube)."""


def test_make_kind_fits_the_node_that_the_docs_ask_for_with_a_shard_being_rolled_out() -> None:
    docs = re.search(r"helm, and (\w+) cores and (\d+) GiB of memory for docker", DOCS)
    assert docs
    cores, gib = {"two": 2, "four": 4}[docs[1]], int(docs[2])
    needed = _sum(CONTROL_PLANE) + _patched() + _ours(KIND_VALUES) + _shards(KIND_VALUES, 3)
    assert needed.cpu <= cores * 1000
    assert needed.memory <= gib * 1024


def test_the_defaults_fit_the_minikube_that_the_docs_ask_for() -> None:
    docs = re.search(r"minikube start --cpus (\d+) --memory (\d+)g", DOCS)
    assert docs
    chosen = {"predictors": {"count": 0}}
    needed = _sum(CONTROL_PLANE) + METRICS_SERVER + _sum(SERVING | KOURIER) + _ours(chosen) + _shards(chosen, 3)
    assert needed.cpu <= int(docs[1]) * 1000
    assert needed.memory <= int(docs[2]) * 1024


def test_the_table_of_requests_in_the_docs_is_what_the_manifests_ask_for() -> None:
    rows = (
        _sum(CONTROL_PLANE),
        _sum(SERVING | KOURIER),
        _patched(),
        _ours({}),
        _ours({"console": {"enabled": True}}) - _ours({}),
        _shards({}, 3),
        _shards(KIND_VALUES, 3),
    )
    table = DOCS.partition("| what | CPU | memory |")[2].partition("\n\n")[0]
    assert re.findall(r"\| (\d+)m \| (\d+) Mi \|", table) == [(str(row.cpu), str(row.memory)) for row in rows]


def test_the_defaults_ask_for_less_than_a_core_with_two_shards_awake() -> None:
    needed = _ours({}) + _shards({}, 2)
    assert needed.cpu < 1000
    assert needed.memory <= 3.5 * 1024
    assert "The defaults ask for less than one core and 3.5 GiB with two shards awake." in DOCS


def test_the_requests_of_knative_were_read_from_the_version_that_is_installed() -> None:
    for path in ("crds", "serving"):
        resources = yaml.safe_load((ROOT / f"manifests/knative/{path}/kustomization.yaml").read_text())["resources"]
        assert all(f"/knative-{KNATIVE}/" in url for url in resources)


def _patched() -> Request:
    """Return what Knative asks for on kind: every Deployment of its two namespaces gets the same CPU request."""
    kustomization = yaml.safe_load((ROOT / "manifests/kind/knative/kustomization.yaml").read_text())
    assert kustomization["resources"] == ["../../knative/serving"]
    [patch] = kustomization["patches"]
    assert patch["target"] == {"kind": "Deployment", "namespace": "knative-serving|kourier-system"}
    [operation] = yaml.safe_load(patch["patch"])
    assert operation["path"] == "/spec/template/spec/containers/0/resources/requests/cpu"
    programs = SERVING | KOURIER
    return Request(_thousandths(operation["value"]) * len(programs), _sum(programs).memory)


def _ours(values: Json) -> Request:
    pods = [item["spec"] for item in chart.render(values) if item["kind"] in ("Deployment", "StatefulSet")]
    containers = [(pod.get("replicas", 1), each) for pod in pods for each in pod["template"]["spec"]["containers"]]
    return sum((_request(each["resources"]["requests"]) * replicas for replicas, each in containers), NOTHING)


def _shards(values: Json, awake: int) -> Request:
    defaults = yaml.safe_load((chart.CHART / "values.yaml").read_text())["shards"]
    shard = defaults | values.get("shards", {})
    sidecar = yaml.safe_load((ROOT / "manifests/knative/serving/config-deployment.yaml").read_text())["data"]
    proxy = {"cpu": sidecar["queue-sidecar-cpu-request"], "memory": sidecar["queue-sidecar-memory-request"]}
    return (_request({"cpu": shard["cpu"], "memory": shard["memory"]}) + _request(proxy)) * awake


def _request(requests: Json) -> Request:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", requests["memory"]).groups()  # type: ignore[union-attr]
    return Request(_thousandths(requests["cpu"]), int(number) * (1024 if unit == "Gi" else 1))


def _thousandths(cpu: str) -> int:
    return int(cpu.removesuffix("m"))


def _sum(programs: dict[str, Request]) -> Request:
    return sum(programs.values(), NOTHING)
