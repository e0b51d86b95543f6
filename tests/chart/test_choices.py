"""What the chart chooses by itself: from other values, from what the cluster knows, from what already runs there."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from manifests import chart

Json = dict[str, Any]
OURS: Json = {"bundled": False}


@pytest.mark.parametrize(
    ("grafana", "expected"),
    [
        ({}, "true"),
        ({"nodePort": 30030}, "false"),
        ({"nodePort": 30030, "anonymous": True}, "true"),
        ({"anonymous": False}, "false"),
    ],
)
def test_a_grafana_that_others_reach_asks_who_they_are_unless_that_was_chosen(grafana: Json, expected: str) -> None:
    env = _container(chart.render({"observability": {"grafana": grafana}}), "flstore-grafana")["env"]
    assert {"name": "GF_AUTH_ANONYMOUS_ENABLED", "value": expected} in env


def test_without_the_prometheus_operator_its_kinds_are_left_out_and_the_notes_say_so() -> None:
    assert _monitors({"observability": OURS}) == set()
    assert "Left out: the PodMonitor and the PrometheusRule" in chart.notes({"observability": OURS})
    assert "Left out" not in chart.notes({})


@pytest.mark.parametrize(("chosen", "notes"), [(True, False), (False, False)])
def test_who_says_whether_there_is_an_operator_is_believed(chosen: bool, notes: bool) -> None:
    values: Json = {"observability": {**OURS, "podMonitor": {"enabled": chosen}}}
    assert _monitors(values) == ({"PodMonitor", "PrometheusRule"} if chosen else set())
    assert ("Left out" in chart.notes(values)) is notes


def test_where_the_prometheus_operator_is_installed_its_kinds_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_a_cluster(tmp_path, monkeypatch, '.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PodMonitor"', "true")
    assert _monitors({"observability": OURS}) == {"PodMonitor", "PrometheusRule"}
    assert "Left out" not in chart.notes({"observability": OURS})
    assert _monitors({}) == set()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 3),
        ({"autoscaling": {"minReplicas": 4}}, 4),
        ({"autoscaling": {"enabled": False}, "replicas": 2}, 2),
    ],
)
def test_turning_autoscaling_on_keeps_the_gateways_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: Json, expected: int
) -> None:
    assert "replicas" not in _gateway(chart.render({}))
    _in_a_cluster(tmp_path, monkeypatch, 'lookup "apps/v1" "Deployment"', 'dict "spec" (dict "replicas" 3) "in"')
    assert _gateway(chart.render({"gateway": values}))["replicas"] == expected


def _in_a_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch, question: str, answer: str) -> None:
    """Have the chart rendered as where a cluster gives `answer` to `question`: rendering offline asks none."""
    copied = Path(shutil.copytree(chart.CHART, folder / "flstore"))
    texts = {path: path.read_text() for path in (copied / "templates").iterdir() if path.is_file()}
    asking = [path for path, text in texts.items() if question in text]
    assert len(asking) == 1
    asking[0].write_text(texts[asking[0]].replace(question, answer))
    monkeypatch.setattr(chart, "CHART", copied)


def _monitors(values: Json) -> set[str]:
    return {item["kind"] for item in chart.render(values)} & {"PodMonitor", "PrometheusRule"}


def _gateway(objects: list[Json]) -> Json:
    spec: Json = _deployment(objects, "flstore-gateway")["spec"]
    return spec


def _container(objects: list[Json], name: str) -> Json:
    [container] = _deployment(objects, name)["spec"]["template"]["spec"]["containers"]
    found: Json = container
    return found


def _deployment(objects: list[Json], name: str) -> Json:
    [found] = [item for item in objects if (item["kind"], item["metadata"]["name"]) == ("Deployment", name)]
    return found
