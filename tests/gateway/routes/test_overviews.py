"""Overviews of a job's rounds: metrics, participations, a client."""

import httpx
import numpy as np
import pytest

from flstore_core.errors import Unavailable
from flstore_core.records import StatisticsMode
from services.gateway.routes import overviews
from tests.fakes.store import MemoryStore
from tests.gateway.world import World, vector

JOB = "/v1/jobs/job"


@pytest.fixture
def filled(gateway: World) -> World:
    """Return a gateway with rounds 0 to 2 committed, of 2, 3 and 1 clients, and round 3 open."""
    gateway.create()
    for number, clients in enumerate((2, 3, 1, 1)):
        gateway.fill(number, clients)
        if number < 3:
            gateway.commit(number, metrics={"accuracy": 0.25 * number, "note": "text"})
    return gateway


async def test_metrics_spread_over_the_clients_by_round(http: httpx.AsyncClient, filled: World) -> None:
    drawn = (await http.get(f"{JOB}/metrics")).json()
    assert (drawn["rounds"], drawn["clients"], drawn["left_out"]) == ([0, 1, 2], [2, 3, 1], 0)
    assert drawn["metrics"]["num_examples"]["p50"] == [10.5, 11.0, 10.0]
    assert drawn["round_metrics"] == {"accuracy": [0.0, 0.25, 0.5]}


async def test_rounds_and_points_can_be_chosen(http: httpx.AsyncClient, filled: World) -> None:
    drawn = (await http.get(f"{JOB}/metrics", params={"first": 1, "last": 2, "points": 1})).json()
    assert (drawn["rounds"], drawn["per_point"]) == ([1], 2)
    assert (await http.get(f"{JOB}/metrics", params={"first": 9})).json()["rounds"] == []
    assert (await http.get(f"{JOB}/metrics", params={"points": 0})).status_code == 422


async def test_the_map_comes_in_pages(http: httpx.AsyncClient, filled: World) -> None:
    first = (await http.get(f"{JOB}/participation", params={"rows": 2, "metric": "num_examples"})).json()
    assert (first["clients"], first["counts"]) == (["c0", "c1"], [[1, 1, 1], [1, 1, 0]])
    assert first["values"] == [[10.0, 10.0, 10.0], [11.0, 11.0, None]]
    assert (first["total"], first["next"], first["metrics"]) == (3, "c1", ["num_examples"])
    second = (await http.get(f"{JOB}/participation", params={"rows": 2, "after": first["next"]})).json()
    assert (second["clients"], second["next"], second["values"]) == (["c2"], None, None)


async def test_names_that_the_store_cannot_keep_are_pages_too(http: httpx.AsyncClient, gateway: World) -> None:
    gateway.create()
    for name in ("x--A_20b", "x--A_20c", "z"):
        gateway.put(0, name, 1, loss=1.0)
    gateway.commit(0)
    first = (await http.get(f"{JOB}/participation", params={"rows": 1})).json()
    assert (first["clients"], first["next"]) == (["A b"], "A b")
    second = (await http.get(f"{JOB}/participation", params={"rows": 5, "after": first["next"]})).json()
    assert second["clients"] == ["A c", "z"]
    assert (await http.get(f"{JOB}/clients/x--A_20b")).json()["client"] == "A b"


async def test_a_client_is_read_round_by_round(http: httpx.AsyncClient, filled: World) -> None:
    drawn = (await http.get(f"{JOB}/clients/c1")).json()
    assert (drawn["client"], drawn["rounds"], drawn["clients"]) == ("c1", [0, 1], [2, 3])
    assert drawn["metrics"]["num_examples"] == {
        "value": [11.0, 11.0],
        "p25": [10.25, 10.5],
        "p50": [10.5, 11.0],
        "p75": [10.75, 11.5],
    }


async def test_norms_by_tensor_are_those_of_the_deltas(http: httpx.AsyncClient, filled: World) -> None:
    drawn = (await http.get(f"{JOB}/rounds/0/norms")).json()
    lengths = [np.linalg.norm(part) for seed in (1, 2) for part in np.split(vector(seed), [2])]
    assert (drawn["clients"], drawn["tensors"], drawn["left_out"]) == (["c0", "c1"], ["bias", "weight"], 0)
    assert np.ravel(drawn["norms"]) == pytest.approx(lengths)
    one = (await http.get(f"{JOB}/rounds/0/norms", params={"tensors": 1})).json()
    assert (one["tensors"], one["left_out"]) == (["weight"], 1)


async def test_norms_need_stored_statistics(http: httpx.AsyncClient, gateway: World) -> None:
    gateway.create(statistics=StatisticsMode.OFF)
    gateway.fill(0, 2)
    gateway.commit(0)
    gateway.fill(1, 2)
    assert (await http.get(f"{JOB}/rounds/0/norms")).json()["code"] == "not-enough-data"
    assert (await http.get(f"{JOB}/rounds/1/norms")).json()["code"] == "not-found"


async def test_there_is_none_of_an_unknown_job_or_client(http: httpx.AsyncClient, filled: World) -> None:
    for path in ("/v1/jobs/jib/metrics", "/v1/jobs/jib/participation", f"{JOB}/clients/c9"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
        assert answer.json()["nearest"]


async def test_a_second_overview_reads_no_round_from_the_store(
    http: httpx.AsyncClient, filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await http.get(f"{JOB}/metrics")
    monkeypatch.setattr(MemoryStore, "get", _refuse)
    monkeypatch.setattr(MemoryStore, "get_with_info", _refuse)
    for path in (f"{JOB}/metrics", f"{JOB}/participation", f"{JOB}/clients/c0"):
        assert (await http.get(path)).status_code == 200


async def test_a_client_that_was_erased_is_in_none(http: httpx.AsyncClient, filled: World) -> None:
    await http.get(f"{JOB}/metrics")
    assert (await http.delete(f"{JOB}/clients/c1")).status_code == 200
    assert (await http.get(f"{JOB}/metrics")).json()["clients"] == [1, 2, 1]
    assert (await http.get(f"{JOB}/participation")).json()["clients"] == ["c0", "c2"]
    assert (await http.get(f"{JOB}/clients/c1")).status_code == 404


async def test_of_very_many_rounds_the_newest_are_drawn(
    http: httpx.AsyncClient, filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overviews, "MOST_ROUNDS", 2)
    for path in ("metrics", "participation", "clients/c0"):
        drawn = (await http.get(f"{JOB}/{path}")).json()
        assert (drawn["rounds"], drawn["left_out"]) == ([1, 2], 1)


async def test_overviews_ask_no_shard(http: httpx.AsyncClient, filled: World) -> None:
    filled.shards.trouble = Unavailable("a shard was asked")
    for path in ("metrics", "participation", "clients/c0"):
        assert (await http.get(f"{JOB}/{path}")).status_code == 200


def _refuse(*_: object) -> None:
    raise AssertionError("a round was read from the store")
