"""What the chart tells the services is what they listen to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from flstore_core.storage import open_store
from flstore_core.units import parse_size
from manifests import chart
from services.common.proof import Keys
from services.console.settings import Settings as ConsoleSettings
from services.gateway.settings import Settings as GatewaySettings
from services.placement.kube.settings import KubernetesSettings
from services.placement.settings import Settings as PlacementSettings
from tests.chart.matrix import ROOT, files, values

Json = dict[str, Any]
TOKENS = '[{"token": "t"}]'
KEYS = {
    "FLSTORE_S3_ACCESS_KEY": "key",
    "FLSTORE_S3_SECRET_KEY": "secret",
    "FLSTORE_TOKENS": TOKENS,
    "FLSTORE_SERVICE_KEYS": 43 * "k",
    "FLSTORE_METRICS_TOKEN": "scraper",
}


@pytest.mark.parametrize("path", files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_services_accept_what_the_chart_sets(path: Path) -> None:
    chosen = values(path)
    gateway = GatewaySettings.from_env(_environment("gateway", chosen))
    placement = _environment("placement", chosen)
    settings = PlacementSettings.from_env(placement)
    knative = KubernetesSettings.from_env(placement)
    assert gateway.store == settings.store
    open_store(gateway.store, placement).close()
    told = chosen.get("shards", {})
    assert settings.shards == told.get("count", 2)
    assert settings.cache_bytes == parse_size(str(told.get("cacheBytes", "512MiB")))
    assert settings.policy == told.get("policy", "tailored")
    assert knative.timeout_s == told.get("timeoutSeconds", 300)
    ambient = values(path).get("objectStore", {}).get("credentials") == "ambient"
    assert bool(knative.store_secret) != ambient
    assert knative.service_account
    assert knative.keys_secret
    assert Keys.from_env(placement) == Keys.from_env(_environment("gateway", chosen)) != Keys()
    assert knative.owner_name


def test_every_variable_that_the_chart_sets_is_read_by_its_service() -> None:
    large = values(Path(__file__).parent / "values" / "large.yaml")
    for service in ("gateway", "placement", "console"):
        folders = (f"services/{service}", "services/common", "flstore_core/storage")
        sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
        text = "\n".join(path.read_text() for path in sources)
        unheard = [name for name in _environment(service, large) if f'"{name}"' not in text]
        assert unheard == [], service


def test_the_console_is_told_of_the_gateway_and_the_gateway_of_the_console() -> None:
    address = "https://flstore.example.org"
    chosen = {"enabled": True, "url": f"{address}/console", "rootPath": "/console", "sessionSeconds": 60}
    given = {"console": {**chosen, "apiUrl": address, "grafanaUrl": "https://grafana.example.org"}}
    console = ConsoleSettings.from_env(_environment("console", {**given, "gateway": {"service": {"port": 8443}}}))
    assert console == ConsoleSettings(
        "http://flstore-gateway:8443", address, "https://grafana.example.org", "/console", 60.0
    )
    assert GatewaySettings.from_env(_environment("gateway", given)).console_url == f"{address}/console"


@pytest.mark.parametrize(
    ("chosen", "led"),
    [({}, ""), ({"url": ":8090"}, ":8090"), ({"rootPath": "/console"}, "/console"), ({"enabled": False}, "")],
)
def test_browsers_are_led_to_where_the_console_is_if_that_is_known(chosen: Json, led: str) -> None:
    values = {"console": {"enabled": True, **chosen}}
    assert GatewaySettings.from_env(_environment("gateway", values)).console_url == led


def test_the_console_holds_no_secret_and_sends_no_traces() -> None:
    """It is told nothing but what it listens to and where others are: tokens are those of whoever looks."""
    large = values(Path(__file__).parent / "values" / "large.yaml")
    [container] = [each for each in _containers(chart.render(large)) if each["name"] == "console"]
    assert [each["name"] for each in container["env"] if "valueFrom" in each or "OTEL" in each["name"]] == []
    assert "envFrom" not in container


def test_a_console_runs_only_where_it_is_asked_for() -> None:
    assert [item for item in chart.render({}) if "console" in item["metadata"]["name"]] == []
    made = {
        item["kind"] for item in chart.render({"console": {"enabled": True}}) if "console" in item["metadata"]["name"]
    }
    assert made == {"Deployment", "NetworkPolicy", "Service", "ServiceAccount"}


def test_objects_refer_to_objects_that_are_there() -> None:
    objects = chart.render({"auth": {"tokens": TOKENS}})
    there = {(item["kind"], item["metadata"]["name"]) for item in objects}
    for container in _containers(objects):
        for variable in container.get("env", []):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                assert ("Secret", reference["name"]) in there
    placement = _environment("placement", {})
    assert ("ConfigMap", placement["FLSTORE_OWNER_NAME"]) in there
    assert ("ServiceAccount", placement["FLSTORE_SERVICE_ACCOUNT"]) in there
    assert ("Secret", placement["FLSTORE_STORE_SECRET"]) in there
    assert ("Secret", placement["FLSTORE_KEYS_SECRET"]) in there


def test_prometheus_reads_the_metrics_of_a_gateway_that_asks_for_tokens() -> None:
    chosen = {"auth": {"tokens": TOKENS}}
    assert _environment("gateway", chosen)["FLSTORE_METRICS_TOKEN"] == "scraper"
    by_kind = {(item["kind"], item["metadata"]["name"]): item for item in chart.render(chosen)}
    pod = by_kind["Deployment", "flstore-prometheus"]["spec"]["template"]["spec"]
    [secret] = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    [mount] = [each["mountPath"] for each in pod["containers"][0]["volumeMounts"] if each["name"] == "token"]
    [item] = secret["items"]
    assert item["key"] in by_kind["Secret", secret["secretName"]]["stringData"]
    told = yaml.safe_load(by_kind["ConfigMap", "flstore-prometheus"]["data"]["prometheus.yml"])
    assert told["scrape_configs"][0]["authorization"] == {"credentials_file": f"{mount}/{item['path']}"}
    own = chart.render({**chosen, "observability": {"bundled": False, "podMonitor": {"enabled": True}}})
    [monitor] = [item for item in own if item["kind"] == "PodMonitor"]
    for endpoint in monitor["spec"]["podMetricsEndpoints"]:
        assert endpoint["authorization"]["credentials"] == {"name": "flstore-keys", "key": "FLSTORE_METRICS_TOKEN"}


def test_every_service_is_told_of_a_collector_of_traces_if_there_is_one() -> None:
    name, endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.monitoring:4318"
    chosen = {"observability": {"otlp": {"endpoint": endpoint}}}
    assert _environment("gateway", chosen)[name] == endpoint
    assert KubernetesSettings.from_env(_environment("placement", chosen)).shard_env[name] == endpoint
    assert name not in {**_environment("gateway", {}), **_environment("placement", {})}
    with pytest.raises(chart.ChartError, match="endpoint"):
        chart.render({"observability": {"otlp": {"endpoint": "collector:4317"}}})


def _environment(service: str, chosen: Json) -> dict[str, str]:
    [deployment] = [
        item
        for item in chart.render(chosen)
        if item["kind"] == "Deployment" and item["metadata"]["name"].endswith(f"-{service}")
    ]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: _value(variable) for variable in container["env"]}


def _value(variable: Mapping[str, Any]) -> str:
    if "value" in variable:
        return str(variable["value"])
    secret = variable["valueFrom"].get("secretKeyRef", {}).get("key")
    return KEYS[secret] if secret else "flstore"


def _containers(objects: list[Json]) -> list[Json]:
    pods = [
        item["spec"] if item["kind"] == "Pod" else item["spec"]["template"]["spec"] for item in objects if _runs(item)
    ]
    return [container for pod in pods for container in pod["containers"]]


def _runs(item: Json) -> bool:
    return item["kind"] in ("Deployment", "StatefulSet", "Pod")
