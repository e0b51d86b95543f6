"""The owner of everything the controller creates, and the way to the cluster."""

from pathlib import Path

import pytest

from flstore_core.errors import InvalidParameters
from services.common import tasks
from services.placement.kube.connect import connect
from services.placement.kube.errors import NotPermitted, ObjectMissing
from services.placement.kube.resources import CONFIG_MAPS, EVENTS
from tests.fakes.api import FakeApi, make_cluster
from tests.fakes.time import FakeTime, settle

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: test, user: {}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
"""


async def test_the_owner_s_uid_is_looked_up_once() -> None:
    api = FakeApi()
    owner = await api.create(CONFIG_MAPS, {**CONFIG_MAPS.head("owner"), "data": {}})
    cluster = make_cluster(api, FakeTime(), owner_name="owner")
    expected = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}]
    assert await cluster.owner.fetch_references() == expected
    assert await cluster.owner.fetch_references() == expected
    assert api.calls.count(("get", "configmaps")) == 1


async def test_a_uid_in_the_settings_needs_no_call() -> None:
    api = FakeApi()
    cluster = make_cluster(api, FakeTime(), owner_name="web", owner_kind="Deployment", owner_uid="u1")
    expected = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u1"}]
    assert await cluster.owner.fetch_references() == expected
    assert cluster.owner.placeholder["metadata"] == {"name": "web", "namespace": "test", "uid": "u1"}
    assert api.calls == []


async def test_without_an_owner_nothing_is_owned() -> None:
    cluster = make_cluster(FakeApi(), FakeTime())
    assert await cluster.owner.fetch_references() == []
    assert cluster.owner.placeholder["metadata"] == {"name": "flstore", "namespace": "test"}


async def test_an_owner_that_does_not_exist_keeps_anything_from_being_created() -> None:
    cluster = make_cluster(FakeApi(), FakeTime(), owner_name="owner")
    with pytest.raises(ObjectMissing):
        await cluster.owner.fetch_references()


async def test_a_new_standing_error_is_an_event_about_the_release() -> None:
    api, time = FakeApi(), FakeTime()
    cluster = make_cluster(api, time, owner_name="owner")
    cluster.errors.report("watching pods", NotPermitted("may not watch pods"))
    writing = tasks.begin(cluster.events.run(), "events")
    await settle()
    await tasks.end(writing)
    ((event,), _) = await api.list(EVENTS)
    assert (event["reason"], event["message"], event["type"]) == ("Forbidden", "may not watch pods", "Warning")
    assert event["involvedObject"]["name"] == "owner"


async def test_a_kubeconfig_leads_to_its_cluster(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    api = await connect({"KUBECONFIG": str(path)}, "fl")
    assert api.namespace == "fl"
    await api.close()


async def test_without_a_pod_and_a_kubeconfig_there_is_no_cluster() -> None:
    with pytest.raises(InvalidParameters, match=r"knative, but there is no cluster: .*KUBECONFIG"):
        await connect({}, "fl")
