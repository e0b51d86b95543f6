"""Who may reach whom, worked out from the rendered policies and the labels of the pods."""

from typing import Any

import pytest

from manifests import chart

Json = dict[str, Any]

LABELS = {"app.kubernetes.io/name": "flstore", "app.kubernetes.io/instance": "flstore"}
CONSOLE: Json = {"console": {"enabled": True}}
STRANGER = {"app": "stranger"}
ALLOWED = [
    ("gateway", "placement", 8081, True),
    ("placement", "placement", 8081, True),
    ("shard", "placement", 8081, False),
    ("gateway", "shard", 8080, True),
    ("placement", "shard", 8080, True),
    ("gateway", "shard", 8012, False),
    ("store", "shard", 8080, False),
    ("shard", "shard", 8080, False),
    ("grafana", "shard", 8080, False),
    ("prometheus", "shard", 8080, True),
    ("prometheus", "placement", 8081, True),
    ("prometheus", "gateway", 8080, True),
    ("gateway", "store", 9000, True),
    ("placement", "store", 9000, True),
    ("shard", "store", 9000, True),
    ("predictor", "store", 9000, True),
    ("prometheus", "store", 9000, False),
    ("grafana", "prometheus", 9090, True),
    ("gateway", "prometheus", 9090, False),
    ("prometheus", "grafana", 3000, False),
    ("gateway", "grafana", 3000, False),
    ("console", "gateway", 8080, True),
    ("console", "placement", 8081, False),
    ("console", "shard", 8080, False),
    ("console", "store", 9000, False),
    ("console", "grafana", 3000, False),
    ("gateway", "console", 8080, True),
    ("test", "gateway", 8080, True),
    ("test", "placement", 8081, False),
]
PORTS = {
    "gateway": {"http": 8080},
    "placement": {"http": 8081},
    "console": {"http": 8080},
    "store": {"s3": 9000},
    "prometheus": {"http": 9090},
    "grafana": {"http": 3000},
}


@pytest.fixture(scope="module")
def policies() -> list[Json]:
    return [item["spec"] for item in chart.render(CONSOLE) if item["kind"] == "NetworkPolicy"]


@pytest.mark.parametrize(("source", "target", "port", "allowed"), ALLOWED)
def test_parts_reach_those_they_have_to_and_no_others(
    policies: list[Json], source: str, target: str, port: int, allowed: bool
) -> None:
    assert reaches(policies, _pod(source), "flstore", target, port) is allowed


@pytest.mark.parametrize("target", ["placement", "shard", "store", "prometheus", "grafana"])
def test_strangers_reach_nothing_but_gateway_and_console(policies: list[Json], target: str) -> None:
    for port in (*PORTS.get(target, {}).values(), 8080, 8012):
        assert not reaches(policies, STRANGER, "elsewhere", target, port)
    assert reaches(policies, STRANGER, "elsewhere", "gateway", 8080)
    assert reaches(policies, STRANGER, "elsewhere", "console", 8080)


def test_the_console_sends_to_the_gateway_and_asks_for_names_and_nothing_else(policies: list[Json]) -> None:
    [policy] = [each for each in policies if "Egress" in each["policyTypes"]]
    assert policy["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "console"
    to_gateway, names = policy["egress"]
    assert names == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    [peer] = to_gateway["to"]
    assert _selects(peer["podSelector"], _pod("gateway"))
    assert not any(_selects(peer["podSelector"], _pod(other)) for other in ("placement", "shard", "store", "console"))
    assert to_gateway["ports"] == [{"port": 8080}]


def test_a_grafana_with_a_port_on_every_node_is_reached_through_it() -> None:
    values = {"observability": {"grafana": {"nodePort": 30030}}}
    rules = [item["spec"] for item in chart.render(values) if item["kind"] == "NetworkPolicy"]
    assert reaches(rules, STRANGER, "elsewhere", "grafana", 3000)


@pytest.mark.parametrize("namespace", ["knative-serving", "kourier-system"])
def test_knative_reaches_a_shard_through_queue_proxy_only(policies: list[Json], namespace: str) -> None:
    for port in (8012, 8013, 8022, 9090):
        assert reaches(policies, STRANGER, namespace, "shard", port)
    assert not reaches(policies, STRANGER, namespace, "shard", 8080)


def reaches(policies: list[Json], source: Json, namespace: str, target: str, port: int) -> bool:
    """Apply the rules of NetworkPolicy: what no policy selects is open; otherwise one rule has to allow it."""
    applying = [policy for policy in policies if _selects(policy["podSelector"], _pod(target))]
    rules = [rule for policy in applying for rule in policy.get("ingress", [])]
    return not applying or any(_allows(rule, source, namespace, PORTS.get(target, {}), port) for rule in rules)


def _allows(rule: Json, source: Json, namespace: str, names: dict[str, int], port: int) -> bool:
    ports = {names.get(each["port"], each["port"]) for each in rule.get("ports", [])}
    return port in ports and ("from" not in rule or any(_is_from(peer, source, namespace) for peer in rule["from"]))


def _is_from(peer: Json, source: Json, namespace: str) -> bool:
    if "namespaceSelector" in peer:
        return _selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
    return namespace == "flstore" and _selects(peer["podSelector"], source)


def _selects(selector: Json, labels: Json) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", []))


def _pod(component: str) -> Json:
    return {**LABELS, "app.kubernetes.io/component": component}
