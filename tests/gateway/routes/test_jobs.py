"""Jobs over HTTP: created once, listed, deleted with all they have."""

import json
from typing import Any

import httpx
import pytest

from flstore_core import layout
from flstore_core.errors import InsufficientCapacity, StoreUnavailable, Unavailable
from flstore_core.ids import JobId
from tests.fakes.store import Call
from tests.gateway.world import HOME, NAME, TENSORS, World, stored, vector, world
from tests.running.jobs import problem

JOB = {"schema": TENSORS}


async def test_a_job_is_created_once(http: httpx.AsyncClient, gateway: World) -> None:
    answer = await http.put("/v1/jobs/job", json={**JOB, "hot_rounds": 3})
    assert answer.status_code == 201
    assert answer.json() == {
        "job": "job",
        "schema": TENSORS,
        "statistics": "exact",
        "updates": "weights",
        "updates_stated": False,
        "weight_key": None,
        "clients_per_round": 10,
        "hot_rounds": 3,
        "replicas": 1,
        "slices": None,
        "created_at": gateway.time.now(),
        "parameters": 6,
        "nbytes": 4 * 6 + 8,
        "committed": 0,
        "first": None,
        "latest": None,
        "open": [],
        "clients": 0,
        "placement": {"slices": 2, "replicas": 1, "shards": ["shard-0", "shard-1"]},
    }
    gateway.time.sleep(5.0)
    again = await http.put("/v1/jobs/job", json={**JOB, "hot_rounds": 3})
    assert (again.status_code, again.json()) == (200, answer.json())
    other = await http.put("/v1/jobs/job", json={**JOB, "hot_rounds": 4})
    assert "exists with another schema or other settings" in problem(other, 409, "conflict")["detail"]


async def test_a_job_says_once_what_its_updates_are(http: httpx.AsyncClient) -> None:
    answer = await http.put("/v1/jobs/job", json={**JOB, "updates": "delta"})
    assert (answer.status_code, answer.json()["updates"]) == (201, "delta")
    assert (await http.get("/v1/jobs/job")).json()["updates"] == "delta"
    problem(await http.put("/v1/jobs/job", json=JOB), 409, "conflict")


async def test_a_job_says_once_which_metric_weighs_its_clients(http: httpx.AsyncClient, gateway: World) -> None:
    answer = await http.put("/v1/jobs/job", json={**JOB, "weight_key": "samples"})
    assert (answer.status_code, answer.json()["weight_key"]) == (201, "samples")
    assert (await http.get("/v1/jobs/job")).json()["weight_key"] == "samples"
    problem(await http.put("/v1/jobs/job", json=JOB), 409, "conflict")
    gateway.put(0, "a", 1, samples=3, num_examples=50)
    gateway.put(0, "b", 2, samples="many", num_examples=1)
    members = (await http.get("/v1/jobs/job/rounds/0")).json()["members"]
    assert [member.get("weight") for member in members] == [3, None]
    weights = (await http.post("/v1/jobs/job/workloads/aggregate", json={"round": 0})).json()["result"]["weights"]
    assert weights == [0.75, 0.25]


async def test_a_job_tells_how_far_it_has_come(http: httpx.AsyncClient, gateway: World) -> None:
    gateway.create()
    for number in (3, 5):
        gateway.fill(number, 2)
        gateway.commit(number)
    gateway.fill(7, 1)
    document = (await http.get("/v1/jobs/job")).json()
    counts = {name: document[name] for name in ("committed", "first", "latest", "open", "clients")}
    assert counts == {"committed": 2, "first": 3, "latest": 5, "open": [7], "clients": 2}
    listed = (await http.get("/v1/jobs")).json()["jobs"]
    assert listed == [{**counts, "job": "job", "parameters": 6, "nbytes": 32}]


async def test_a_job_that_no_table_has_is_described_without_a_place(http: httpx.AsyncClient, gateway: World) -> None:
    job = gateway.create()
    store = gateway.store
    other = world(store=store)
    store.put(layout.job(JobId("another")), json.dumps({**job.to_json(), "job": "another"}).encode())
    assert other.state.rounds.catalog.read_job(JobId("another")).id == "another"
    assert (await http.get("/v1/jobs/another")).json()["placement"] is None


async def test_a_job_that_no_shard_can_hold_is_not_created(http: httpx.AsyncClient, gateway: World) -> None:
    gateway.controller.problem = InsufficientCapacity("no", update_bytes=24)
    document = problem(await http.put("/v1/jobs/job", json=JOB), 507, "insufficient-capacity")
    assert document["update_bytes"] == 24
    assert list(gateway.store.contents) == [layout.job(NAME)], "which says that there is no job any more"
    problem(await http.get("/v1/jobs/job"), 404, "not-found")
    gateway.controller.problem = None
    assert (await http.put("/v1/jobs/job", json=JOB)).status_code == 201
    gateway.controller.problem = Unavailable("no")
    problem(await http.put("/v1/jobs/job", json=JOB), 503, "unavailable")
    assert (await http.get("/v1/jobs/job")).status_code == 200, "a job that was there before stays"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"schema": []}, "body.schema"),
        ({"schema": "x"}, "body.schema"),
        ({"schema": [{"name": "w", "dtype": "F32"}]}, "body.schema.0.shape"),
        ({"schema": [{"name": "", "dtype": "F32", "shape": []}]}, "body.schema.0.name"),
        ({"statistics": "some"}, "body.statistics"),
        ({"updates": "diff"}, "body.updates"),
        ({"weight_key": ""}, "body.weight_key"),
        ({"weight_key": 7}, "body.weight_key"),
        ({"weight_key": "x" * 257}, "body.weight_key"),
        ({"clients_per_round": 0}, "body.clients_per_round"),
        ({"hot_rounds": "many"}, "body.hot_rounds"),
        ({"replicas": 9}, "body.replicas"),
        ({"slices": 1025}, "body.slices"),
        ({"more": 1}, "body.more"),
    ],
)
async def test_each_field_that_does_not_fit_is_named(http: httpx.AsyncClient, change: Any, field: str) -> None:
    document = problem(await http.put("/v1/jobs/job", json={**JOB, **change}), 422, "invalid-parameters")
    assert field in [error["field"] for error in document["errors"]]
    assert field in document["detail"]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([{"name": "w", "dtype": "F33", "shape": [1]}], "F33"),
        ([{"name": "w", "dtype": "I64", "shape": [1]}], "no floating-point parameters"),
        ([{"name": "w", "dtype": "F32", "shape": [1]}] * 2, "'w'"),
        ([{"name": "w", "dtype": "F32", "shape": [-1]}], "'w'"),
        ([{"name": "w", "dtype": "F32", "shape": [2**200]}], "'w'"),
        ([{"name": "__metadata__", "dtype": "F32", "shape": [1]}], "'__metadata__'"),
    ],
)
async def test_a_schema_that_describes_no_model_is_refused(http: httpx.AsyncClient, tensors: Any, message: str) -> None:
    document = problem(await http.put("/v1/jobs/job", json={"schema": tensors}), 422, "invalid-parameters")
    assert message in document["detail"]


async def test_a_deleted_job_is_gone_everywhere(http: httpx.AsyncClient, gateway: World) -> None:
    gateway.create()
    gateway.fill(0, 2)
    gateway.commit(0)
    assert gateway.shards.engine.inventory()["used_bytes"] > 0
    answer = await http.delete("/v1/jobs/job")
    assert (answer.status_code, answer.content) == (204, b"")
    assert list(gateway.store.contents) == [layout.job(NAME)], "which says that there is no job any more"
    assert gateway.controller.deleted == ["job"]
    assert gateway.shards.engine.inventory()["used_bytes"] == 0
    problem(await http.get("/v1/jobs/job"), 404, "not-found")
    problem(await http.delete("/v1/jobs/job"), 404, "not-found")
    assert (await http.get("/v1/jobs")).json() == {"jobs": []}


async def test_a_job_made_anew_inherits_nothing(http: httpx.AsyncClient, gateway: World) -> None:
    """Of a deletion that broke off right after it had deleted the job's record."""
    gateway.create()
    gateway.fill(0, 1)
    gateway.commit(0)
    gateway.run("aggregate", round=0)
    for key in (layout.program(HOME), layout.program_record(HOME), layout.dataset_record(HOME, "d")):
        gateway.store.put(key, b"{}")
    gateway.store.delete(layout.job(NAME))
    gateway.state.rounds.catalog.forget(NAME)
    assert (await http.put("/v1/jobs/job", json=JOB)).status_code == 201
    assert list(gateway.store.contents) == [layout.job(NAME)]
    assert (await http.get("/v1/jobs/job/rounds")).json() == {"rounds": []}


async def test_an_erasure_reports_the_client_s_rounds(http: httpx.AsyncClient, gateway: World) -> None:
    gateway.create()
    for number in (1, 2):
        gateway.fill(number, 3)
    gateway.commit(1)
    document = (await http.delete("/v1/jobs/job/clients/c1")).json()
    assert (document["client"], document["rounds"]) == ("c1", [1, 2])
    tombstone = stored(gateway.store, document["tombstone"])
    assert (tombstone["client"], tombstone["rounds"], tombstone["objects"]) == ("c1", [1, 2], document["objects"])
    problem(await http.delete("/v1/jobs/job/clients/c1"), 404, "not-found")
    problem(await http.delete("/v1/jobs/job/clients/aggregate"), 422, "invalid-id")
    assert len(vector(1)) == 6


async def test_a_deletion_does_not_wait_for_a_controller_that_is_away(
    http: httpx.AsyncClient, gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.create()

    def fail(job: JobId) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(gateway.state.backends.placement, "forget", fail)
    assert (await http.delete("/v1/jobs/job")).status_code == 204
    assert list(gateway.store.contents) == [layout.job(NAME)], "which says that there is no job any more"


async def test_a_deletion_that_breaks_off_has_deleted_the_job(http: httpx.AsyncClient, gateway: World) -> None:
    """Its record is marked first, so nothing can be put into what is left."""
    gateway.create()
    gateway.fill(0, 1)

    def fail(call: Call) -> None:
        if call.method == "delete_prefix":
            raise StoreUnavailable("away")

    gateway.store.before = fail
    problem(await http.delete("/v1/jobs/job"), 503, "store-unavailable")
    gateway.store.before = lambda call: None
    assert len(gateway.store.contents) > 1
    assert (await http.delete("/v1/jobs/job")).status_code == 204, "asked again, it goes on"
    assert list(gateway.store.contents) == [layout.job(NAME)]
    problem(await http.delete("/v1/jobs/job"), 404, "not-found")
