"""The record of calls that the chart's Role is held against."""

from tests.kubernetes.rbac import calls


def test_the_controller_stays_within_few_kinds_and_never_reads_secrets() -> None:
    made = calls()
    assert {(group, resource) for _, group, resource, _ in made} == {
        ("", "configmaps"),
        ("", "events"),
        ("", "pods"),
        ("coordination.k8s.io", "leases"),
        ("flstore.dev", "fljobs"),
        ("serving.knative.dev", "services"),
    }
    assert {verb for verb, _, resource, _ in made if resource == "pods"} == {"list", "watch"}
    assert {verb for verb, _, resource, _ in made if resource == "configmaps"} == {"get"}
    assert {verb for verb, _, resource, _ in made if resource == "leases"} == {"get", "create", "update"}
    assert ("patch", "flstore.dev", "fljobs", "status") in made
    assert ("create", "serving.knative.dev", "services", "") in made, "applying what is new counts as creating"
    assert not any(verb == "deletecollection" for verb, *_ in made)
