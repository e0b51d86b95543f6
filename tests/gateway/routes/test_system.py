"""What a gateway tells about the whole: placement, caches, readiness, metrics, and what leads nowhere."""

import httpx
import pytest

from flstore_core.errors import StoreUnavailable, Unavailable
from tests.fakes.store import Call
from tests.gateway.routes.conftest import client_of
from tests.gateway.world import World, world
from tests.running.jobs import problem


@pytest.fixture
def filled(gateway: World) -> World:
    gateway.create()
    gateway.fill(0, 2)
    gateway.commit(0)
    return gateway


async def test_the_placement_table_is_shown(http: httpx.AsyncClient, filled: World) -> None:
    table = (await http.get("/v1/placement")).json()
    assert table["version"] == 2
    assert table["jobs"]["job"] == {"slices": 2, "replicas": 1, "owners": [["shard-0"], ["shard-1"]]}
    assert table["shards"]["shard-0"] == {"url": "http://shard-0", "cache_bytes": 60_000_000}


async def test_caches_are_shown_without_waking_a_shard(http: httpx.AsyncClient, filled: World) -> None:
    filled.controller.states["shard-1"] = "zero"
    document = (await http.get("/v1/cache")).json()
    first, second = document["shards"]
    assert (first["shard"], second["shard"], "inventory" in second) == ("shard-0", "shard-1", False)
    assert first["inventory"]["jobs"]["job"]["objects"] == 4
    assert document["gateway"]["used_bytes"] > 0
    assert document["gateway"]["slices_due"] == 0
    assert document["gateway"]["holds"].startswith("records and statistics of rounds, under a fixed policy")


async def test_a_shard_that_cannot_tell_is_shown_without_its_inventory(http: httpx.AsyncClient, filled: World) -> None:
    filled.shards.trouble = StoreUnavailable("not now")
    assert [row.keys() for row in (await http.get("/v1/cache")).json()["shards"]] == [{"shard", "url", "state"}] * 2


async def test_a_key_is_explained_by_the_shards_of_its_slice(http: httpx.AsyncClient, filled: World) -> None:
    document = (await http.get("/v1/cache/explain", params={"key": "job/0/c0/1"})).json()
    assert document["key"] == "job/0/c0/1"
    assert [(row["shard"], row["cached"]) for row in document["shards"]] == [("shard-1", True)]
    filled.controller.states["shard-0"] = "zero"
    (row,) = (await http.get("/v1/cache/explain", params={"key": "job/0/c0"})).json()["shards"]
    assert row == {
        "shard": "shard-0",
        "cached": False,
        "since": None,
        "why": "the shard is at zero",
        "pinned": False,
    }


@pytest.mark.parametrize(
    ("key", "status", "message"),
    [
        ("job/0/c0/2", 422, "slice 2 does not exist; job 'job' has 2, counted from 0"),
        ("job", 422, "is not job/round/client"),
        ("job/x/c0", 422, "is not job/round/client"),
        ("jub/0/c0", 404, "job 'jub' does not exist"),
    ],
)
async def test_an_invalid_key_is_refused(
    http: httpx.AsyncClient, filled: World, key: str, status: int, message: str
) -> None:
    answer = await http.get("/v1/cache/explain", params={"key": key})
    assert answer.status_code == status
    assert message in answer.json()["detail"]


async def test_a_gateway_is_ready_with_a_table_even_without_a_store(http: httpx.AsyncClient, gateway: World) -> None:
    def fail(call: Call) -> None:
        raise StoreUnavailable("away")

    gateway.store.before = fail
    assert (await http.get("/readyz")).json() == {"status": "ready"}
    assert (await http.get("/healthz")).json() == {"status": "ok"}


async def test_a_gateway_without_a_table_waits_for_one() -> None:
    gateway = world()
    gateway.state.backends.placement._table = type(gateway.controller.table)()
    async with client_of(gateway) as http:
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "waiting for a placement table"})


async def test_metrics_count_what_was_done(http: httpx.AsyncClient, gateway: World) -> None:
    gateway.create()
    await http.put("/v1/jobs/job/rounds/0/clients/c", content=b"x")
    await http.post("/v1/jobs/job/rounds/0/commit", json={"allow_empty": True})
    await http.get("/v1/jobs/job")
    await http.get("/nowhere")
    text = (await http.get("/metrics")).text
    for line in (
        'flstore_requests_total{method="PUT",route="/v1/jobs/{job}/rounds/{round}/clients/{client}",status="422"} 1.0',
        'flstore_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        'flstore_request_seconds_count{route="/v1/jobs/{job}"} 1.0',
        'flstore_rounds_committed_total{job="job"} 1.0',
        "flstore_table_version 2.0",
        "flstore_in_flight_bytes 0.0",
        'flstore_records_requests_total{pattern="P2"} 0.0',
    ):
        assert line in text, line


@pytest.mark.parametrize("path", ["/v1/jobs/", "/v1/jobs/j/rounds/0/clients/", "/v2", "/v1/jobs//rounds/0"])
async def test_unknown_paths_are_answered_with_problems(http: httpx.AsyncClient, path: str) -> None:
    problem(await http.get(path), 404, "not-found")


async def test_a_method_that_a_path_does_not_have_answers_405(http: httpx.AsyncClient) -> None:
    problem(await http.post("/v1/jobs/job"), 405, "method-not-allowed")


async def test_an_unforeseen_error_reveals_no_detail(http: httpx.AsyncClient, filled: World) -> None:
    def fail(call: Call) -> None:
        raise ZeroDivisionError("secret")

    filled.store.before = fail
    document = problem(await http.get("/v1/jobs/job/rounds/0/clients/c0"), 500, "internal")
    assert "secret" not in str(document)


async def test_a_request_s_id_is_taken_over_if_it_is_harmless(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz", headers={"x-request-id": "trace-1"})).headers["x-request-id"] == "trace-1"
    made = (await http.get("/healthz", headers={"x-request-id": "a b<script>"})).headers["x-request-id"]
    assert made not in ("", "a b<script>")


async def test_costs_are_told_by_day_and_kind(http: httpx.AsyncClient, filled: World) -> None:
    for _ in range(2):
        assert (await http.post("/v1/jobs/job/workloads/clustering", json={"round": 0})).status_code == 200
    document = (await http.get("/v1/cost")).json()
    (row,) = document["days"]
    assert (row["kind"], row["requests"], row["day"]) == ("clustering", 2, "2026-09-21")
    assert row["objstore_dollars"] > row["dollars"] > 0
    assert (await http.get("/v1/cost", params={"job": "other"})).json()["days"] == []
    problem(await http.get("/v1/cost", params={"job": "no name"}), 422, "invalid-id")


async def test_events_are_what_was_committed_who_was_accused_and_what_woke(
    http: httpx.AsyncClient, gateway: World
) -> None:
    gateway.create()
    gateway.fill(0, 4)
    gateway.put(0, "enemy", 5000)
    committed = await http.post("/v1/jobs/job/rounds/0/commit", json={})
    assert committed.status_code == 200, committed.text
    gateway.controller.starts["shard-1"] = [{"at": 5.0, "reason": "request", "seconds": 0.4, "cause": "request"}]
    params = {"round": 0, "norm_threshold": 0.1}
    answer = (await http.post("/v1/jobs/job/workloads/malicious-filter", json=params)).json()
    accused, closed, woke = (await http.get("/v1/events")).json()["events"]
    assert (accused["kind"], accused["clients"]) == ("accused", answer["result"]["malicious"])
    assert accused["clients"]
    assert (closed["kind"], closed["job"], closed["round"]) == ("committed", "job", 0)
    assert woke == {"at": 5.0, "kind": "woke", "shard": "shard-1", "reason": "request", "seconds": 0.4}
    assert len((await http.get("/v1/events", params={"limit": 1})).json()["events"]) == 1


async def test_events_are_told_while_the_controller_is_away(http: httpx.AsyncClient, filled: World) -> None:
    filled.controller.shards_problem = Unavailable("away")
    assert (await http.get("/v1/events")).json()["events"] == []
