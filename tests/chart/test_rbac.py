"""The placement controller may do what it does, and nothing beyond."""

from typing import Any

from manifests import chart
from tests.kubernetes.rbac import calls

Json = dict[str, Any]
Permission = tuple[str, str, str, str]
"""Verb, API group, resource, subresource."""

BEYOND: frozenset[Permission] = frozenset(
    {
        # server-side apply of an object that is not there yet counts as both for the API server
        ("create", "serving.knative.dev", "services", ""),
        ("create", "flstore.dev", "fljobs", ""),
    }
)
"""What is granted though no call says so by its name, and why."""


def granted(objects: list[Json], name: str) -> set[Permission]:
    """Return what a Role allows."""
    [role] = [each for each in objects if each["kind"] == "Role" and each["metadata"]["name"] == name]
    return {
        (verb, group, *_split(resource))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_controller_is_granted_its_calls_and_nothing_beyond() -> None:
    allowed = granted(chart.render({}), "flstore-placement")
    made = calls()
    assert made - allowed == set()
    assert allowed - made <= BEYOND


def test_no_rule_has_a_wildcard_or_reaches_beyond_the_namespace() -> None:
    objects = chart.render({})
    kinds = {each["kind"] for each in objects}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}
    for role in (each for each in objects if each["kind"] == "Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "secrets" not in rule["resources"]


def test_only_the_controller_and_prometheus_hold_a_token_of_the_api() -> None:
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in chart.render({"console": {"enabled": True}})
        if each["kind"] in ("Deployment", "StatefulSet")
    }
    holding = {name for name, pod in pods.items() if pod.get("automountServiceAccountToken") is not False}
    assert "flstore-console" in pods
    assert holding == {"flstore-placement", "flstore-prometheus"}


def _split(resource: str) -> tuple[str, str]:
    name, _, subresource = resource.partition("/")
    return name, subresource
