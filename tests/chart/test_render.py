"""Every values file renders into objects that Kubernetes, Knative, Prometheus' operator and our own kind accept."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flstore_core import __version__
from manifests import chart
from manifests.generated import CRD, ROOT, generated, samples
from tests.chart.matrix import VALUES, check, files, values
from tests.chart.validate import problems

Json = dict[str, Any]
OWN = ("gateway", "placement", "console", "prometheus", "grafana", "minio", "seaweedfs", "smoke")


@pytest.mark.parametrize("path", files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_object_is_one_the_cluster_takes(path: Path) -> None:
    checked = check(path)
    assert checked.problems == []
    assert checked.objects > 10


def test_validation_finds_unknown_fields_and_wrong_values() -> None:
    service: Json = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"prots": []}}
    job: Json = {
        "apiVersion": "flstore.dev/v1alpha1",
        "kind": "FLJob",
        "metadata": {"name": "a"},
        "spec": {"replicas": 0},
    }
    monitor: Json = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": {"name": "a"}}
    assert any("prots" in each for each in problems(service))
    assert any("replicas" in each for each in problems(job))
    assert problems({**job, "spec": {"repliques": 1}})
    assert problems({**monitor, "spec": {"podMetricsEndpoints": [{"prot": "http"}], "selector": {}}})
    assert problems({"apiVersion": "apps/v9", "kind": "Deployment", "metadata": {"name": "a"}})


@pytest.mark.parametrize("path", generated(), ids=str)
def test_generated_files_are_up_to_date(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == generated()[path], "run python -m manifests"


def test_samples_are_what_the_chart_renders() -> None:
    for path, text in samples().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path}: run python -m manifests"


def test_the_chart_has_the_version_of_the_package() -> None:
    told = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())
    assert (told["version"], told["appVersion"]) == (__version__, __version__)


def test_our_kind_and_its_example_are_valid() -> None:
    [definition] = yaml.safe_load_all((ROOT / CRD).read_text())
    [example] = yaml.safe_load_all((ROOT / "manifests/examples/fljob.yaml").read_text())
    [namespace] = yaml.safe_load_all((ROOT / "manifests/namespace/namespace.yaml").read_text())
    assert [each for item in (definition, example, namespace) for each in problems(item)] == []


@pytest.mark.parametrize("path", files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_pods_run_confined_and_say_what_they_need(path: Path) -> None:
    pods = [_pod(item) for item in chart.render(values(path)) if item["kind"] in ("Deployment", "StatefulSet", "Pod")]
    assert pods
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        for container in pod["containers"]:
            assert container["name"] in OWN
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"] is True
            assert confined["allowPrivilegeEscalation"] is False
            assert confined["capabilities"]["drop"] == ["ALL"]
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert not any("sh" in str(word).split("/")[-1:] for word in container.get("command", []))


def test_notes_tell_the_next_three_commands() -> None:
    told = chart.notes({})
    for number, command in ((1, "kubectl -n flstore port-forward"), (2, "curl"), (3, "helm -n flstore test flstore")):
        assert f"{number}. {command}" in told
    assert "No tokens are set" in told
    assert "No tokens are set" not in chart.notes({"auth": {"existingSecret": "tokens"}})


def test_notes_say_how_to_reach_the_console_where_there_is_one() -> None:
    below = {"enabled": True, "rootPath": "/console"}
    said = "Console: kubectl -n flstore port-forward service/flstore-console 8090:80, then http://localhost:8090"
    assert f"{said}\n" in chart.notes({"console": {"enabled": True}})
    assert f"{said}/console\n" in chart.notes({"console": below})
    assert "Console" not in chart.notes({})


def test_notes_and_readme_say_in_a_line_that_minio_is_unmaintained() -> None:
    said = "MinIO is unmaintained since February 2026 and gets no security fixes: consider objectStore.kind=seaweedfs"
    assert said in chart.notes({})
    assert "unmaintained" not in chart.notes({"objectStore": {"kind": "seaweedfs"}})
    assert "MinIO, unmaintained since February 2026" in (ROOT / "README.md").read_text()


def test_the_image_of_minio_is_pinned_by_its_digest() -> None:
    [store] = [item for item in chart.render({}) if item["kind"] == "StatefulSet"]
    assert re.search(r"@sha256:[0-9a-f]{64}$", _pod(store)["containers"][0]["image"])


def test_an_upgrade_renders_the_same_objects_but_for_secrets_it_makes_up() -> None:
    chosen = {
        "objectStore": {"accessKey": "someone", "secretKey": "something-secret"},
        "auth": {"serviceKeys": 43 * "k", "metricsToken": "m"},
        "observability": {"grafana": {"adminPassword": "something"}},
    }
    assert chart.render(chosen, upgrade=True) == chart.render(chosen)
    first, second = ([item for item in chart.render({}) if item["kind"] == "Secret"] for _ in range(2))
    assert [secret["stringData"] for secret in first] != [secret["stringData"] for secret in second]


def test_data_outlives_the_release_unless_asked_otherwise() -> None:
    for keep, expected in ((True, "Retain"), (False, "Delete")):
        objects = chart.render({"objectStore": {"keepData": keep}})
        [volume] = [item for item in objects if item["kind"] == "StatefulSet"]
        [secret] = [
            item for item in objects if item["metadata"]["name"] == "flstore-store" and item["kind"] == "Secret"
        ]
        assert volume["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == expected
        kept = secret["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
        assert kept == ("keep" if keep else None)


def _pod(item: Json) -> Json:
    spec: Json = item["spec"] if item["kind"] == "Pod" else item["spec"]["template"]["spec"]
    return spec


def test_a_role_stands_in_for_the_store_s_keys() -> None:
    objects = chart.render(values(VALUES / "ambient.yaml"))
    accounts = [item["metadata"] for item in objects if item["kind"] == "ServiceAccount"]
    roles = {meta["name"]: meta.get("annotations", {}).get("eks.amazonaws.com/role-arn", "") for meta in accounts}
    ours = ("flstore-gateway", "flstore-placement", "flstore-shard")
    assert all(roles[name].endswith("role/flstore") for name in ours)
    assert "flstore-store" not in {item["metadata"]["name"] for item in objects}
    for name in ("flstore-gateway", "flstore-placement"):
        [deployment] = [i for i in objects if (i["kind"], i["metadata"]["name"]) == ("Deployment", name)]
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        env = {each["name"]: each.get("value") for each in container["env"]}
        assert env["FLSTORE_STORE"] == "s3://federated?region=eu-central-1&style=path"
        assert not env.keys() & {"FLSTORE_S3_ACCESS_KEY", "FLSTORE_S3_SECRET_KEY", "FLSTORE_STORE_SECRET"}
