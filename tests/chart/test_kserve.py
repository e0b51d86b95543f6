"""What the chart makes for KServe is what KServe takes, and the example uses it."""

import copy
from typing import Any

import pytest
import yaml

from manifests import chart
from manifests.generated import ROOT
from tests.chart.foreign import document_of, schemas
from tests.chart.validate import problems

Json = dict[str, Any]
ENABLED: Json = {"kserve": {"enabled": True}}
KINDS = ("ClusterServingRuntime", "ClusterStorageContainer")


def example() -> Json:
    [service] = yaml.safe_load_all((ROOT / "manifests/examples/inferenceservice.yaml").read_text())
    return dict(service)


def of_kserve(values: Json) -> dict[str, Json]:
    return {item["kind"]: item for item in chart.render(values) if item["apiVersion"].startswith("serving.kserve.io/")}


def test_nothing_is_made_for_kserve_unless_it_is_asked_for() -> None:
    assert of_kserve({}) == {}
    made = of_kserve(ENABLED)
    assert tuple(sorted(made)) == KINDS
    assert [each for item in made.values() for each in problems(item)] == []


def test_the_example_is_an_inference_service_also_while_a_newer_round_is_tried() -> None:
    service = example()
    assert problems(service) == []
    service["spec"]["predictor"]["canaryTrafficPercent"] = 10
    service["spec"]["predictor"]["model"]["storageUri"] = "flstore://digits/4"
    assert problems(service) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "predictor", "canaryTrafficPercents"), 10),
        (("spec", "predictor", "canaryTrafficPercent"), "10%"),
        (("spec", "predictor", "model", "storageURI"), "flstore://digits/3"),
        (("spec", "predictor", "model", "modelFormat"), "flstore"),
        (("spec", "predictor", "scaleMetric"), "requests"),
    ],
)
def test_what_kserve_would_not_take_is_found(path: tuple[str, ...], value: Any) -> None:
    service = copy.deepcopy(example())
    here = service
    for name in path[:-1]:
        here = here[name]
    here[path[-1]] = value
    assert problems(service)


def test_the_uri_of_the_example_is_the_initializers_and_its_format_the_runtimes() -> None:
    made, model = of_kserve(ENABLED), example()["spec"]["predictor"]["model"]
    [uris] = made["ClusterStorageContainer"]["spec"]["supportedUriFormats"]
    assert model["storageUri"].startswith(uris["prefix"])
    runtime = made["ClusterServingRuntime"]["spec"]
    [known] = runtime["supportedModelFormats"]
    assert (model["modelFormat"]["name"], known["autoSelect"]) == (known["name"], True)
    assert model["protocolVersion"] in runtime["protocolVersions"]


def test_pods_of_others_get_no_secret_of_ours_and_run_confined() -> None:
    made = of_kserve({**ENABLED, "auth": {"tokens": '[{"token": "t"}]', "serviceKeys": 43 * "k"}})
    initializer = made["ClusterStorageContainer"]["spec"]["container"]
    [server] = made["ClusterServingRuntime"]["spec"]["containers"]
    secrets = {each["valueFrom"]["secretKeyRef"]["name"] for each in initializer["env"] if "valueFrom" in each}
    assert secrets == {"flstore-token"}, "which is in their namespace"
    assert not [each for each in server["env"] if "valueFrom" in each]
    assert not {"FLSTORE_SERVICE_KEYS", "FLSTORE_STORE"} & {
        each["name"] for each in (*initializer["env"], *server["env"])
    }
    for container in (initializer, server):
        assert container["securityContext"] == {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert "memory" in container["resources"]["limits"]


def test_served_models_get_the_devices_of_predictors_and_run_on_a_gpu() -> None:
    def server(**devices: int) -> tuple[Json, set[str]]:
        made = of_kserve({**ENABLED, "predictors": {"count": 0, "resources": devices}})
        assert [each for item in made.values() for each in problems(item)] == []
        [container] = made["ClusterServingRuntime"]["spec"]["containers"]
        return container["resources"], {each["value"] for each in container["env"] if each["name"] == "FLSTORE_DEVICE"}

    own: Json = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}
    assert server() == (own, set())
    for name in ("nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb"):
        assert server(**{name: 1}) == ({**own, "limits": {"memory": "2Gi", name: 1}}, {"cuda"})
    for name in ("rdma/hca", "nvidia.com/gpus", "else.nvidia.com/gpu"):
        assert server(**{name: 1}) == ({**own, "limits": {"memory": "2Gi", name: 1}}, set())


def test_the_initializer_finds_the_gateway_from_any_namespace() -> None:
    made = of_kserve({**ENABLED, "gateway": {"service": {"port": 8443}}})
    env = {each["name"]: each.get("value") for each in made["ClusterStorageContainer"]["spec"]["container"]["env"]}
    assert env["FLSTORE_URL"] == "http://flstore-gateway.flstore.svc:8443"


def test_the_notes_say_what_a_namespace_needs() -> None:
    with_tokens = {"auth": {"existingSecret": "tokens"}}
    assert "storageUri: flstore://JOB/ROUND" in chart.notes(ENABLED)
    assert "the Secret flstore-token" in chart.notes({**ENABLED, **with_tokens})
    assert "the Secret flstore-token" not in chart.notes(ENABLED)
    assert "KServe" not in chart.notes(with_tokens)


def test_a_schema_means_the_same_when_equal_parts_are_written_once() -> None:
    pod = {"type": "object", "description": "a pod", "properties": {"description": {"type": "string", "maxLength": 5}}}
    version = {
        "name": "v1",
        "served": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"one": pod, "other": pod, "status": pod}}},
    }
    names = {"group": "g.dev", "names": {"kind": "Thing"}}
    document = document_of({"spec": {**names, "versions": [{**version, "name": "v0"}, version]}}, "nowhere")
    assert (document["apiVersion"], document["kind"], document["source"]) == ("g.dev/v1", "Thing", "nowhere")
    [(name, part)] = document["schema"]["$defs"].items()
    assert document["schema"]["properties"] == {key: {"$ref": f"#/$defs/{name}"} for key in ("one", "other")}
    assert part == {"type": "object", "properties": {"description": {"type": "string", "maxLength": 5}}}


def test_schemas_are_those_of_the_kinds_that_are_used() -> None:
    assert {kind for _, kind in dict(schemas())} == {*KINDS, "InferenceService"}
