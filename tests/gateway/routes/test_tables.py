"""The metadata of a job's rounds as one table, in JSON and as an Arrow stream."""

import sys

import httpx
import pyarrow
import pytest

from services.gateway.routes import tables
from tests.gateway.world import World

METADATA = "/v1/jobs/job/metadata"
ACCEPT = {"Accept": "application/vnd.apache.arrow.stream, application/json;q=0.5"}


@pytest.fixture
def filled(gateway: World) -> World:
    """Return a gateway with rounds 0 and 1 committed, and round 2 open."""
    gateway.create()
    for number in range(3):
        gateway.fill(number, clients=2)
        if number == 0:
            gateway.put_aggregate(number, 9)
        if number < 2:
            gateway.commit(number, metrics={"accuracy": 0.1 * number})
    return gateway


async def test_json_has_an_array_for_each_column(http: httpx.AsyncClient, filled: World) -> None:
    table = (await http.get(METADATA)).json()
    assert table["round"] == [0, 0, 0, 1, 1, 2, 2]
    assert table["client"] == ["c0", "c1", None, "c0", "c1", "c0", "c1"]
    assert table["weight"] == [10.0, 11.0, None, 10.0, 11.0, 10.0, 11.0]
    assert table["committed"] == [True] * 5 + [False] * 2
    assert table["base"] == [None, None, None, 0, 0, 0, 0]


async def test_arrow_has_the_same(http: httpx.AsyncClient, filled: World) -> None:
    answer = await http.get(METADATA, headers=ACCEPT)
    assert answer.headers["content-type"] == tables.ARROW
    table = pyarrow.ipc.open_stream(answer.content).read_all()
    json = (await http.get(METADATA)).json()
    assert table.drop_columns(["committed_at", "received_at"]).to_pydict() == {
        name: values for name, values in json.items() if name not in ("committed_at", "received_at")
    }


async def test_rounds_can_be_chosen(http: httpx.AsyncClient, filled: World) -> None:
    table = (await http.get(METADATA, params={"first": 1, "last": 1})).json()
    assert table["round"] == [1, 1]
    assert (await http.get(METADATA, params={"first": 7})).json()["round"] == []


async def test_a_table_that_is_too_long_is_refused_with_the_numbers(
    http: httpx.AsyncClient, filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 5)
    answer = await http.get(METADATA)
    assert (answer.status_code, answer.json()["code"]) == (422, "too-expensive")
    assert answer.json()["rows"] == 6
    assert (await http.get(METADATA, params={"last": 0})).status_code == 200


async def test_open_rounds_count_too(http: httpx.AsyncClient, filled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 8)
    answer = await http.get(METADATA)
    assert (answer.status_code, answer.json()["code"], answer.json()["rows"]) == (422, "too-expensive", 9)


async def test_a_round_has_the_base_that_its_record_is_answered_with(http: httpx.AsyncClient, gateway: World) -> None:
    gateway.create()
    for number in (2, 1):
        gateway.fill(number, clients=1)
        gateway.put_aggregate(number, 9)
        gateway.commit(number)
    assert (await http.get("/v1/jobs/job/rounds/2")).json()["base"] == 1
    assert (await http.get(METADATA)).json()["base"] == [None, None, 1, 1]


async def test_without_pyarrow_json_is_left(
    http: httpx.AsyncClient, filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = await http.get(METADATA, headers=ACCEPT)
    assert (answer.status_code, answer.json()["code"]) == (406, "not-acceptable")
    assert (await http.get(METADATA)).status_code == 200


async def test_there_is_none_of_an_unknown_job(http: httpx.AsyncClient) -> None:
    assert (await http.get(METADATA)).json()["code"] == "not-found"
