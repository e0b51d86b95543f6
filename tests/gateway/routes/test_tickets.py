"""A ticket lets one client do one thing in one round for a while, and nothing else."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from threading import current_thread
from typing import Any

import httpx
import pytest

from flstore_core.ids import encode
from services.common.proof import Keys, new_key
from services.gateway.tickets import Tickets
from tests.gateway.routes.conftest import client_of
from tests.gateway.world import TENSORS, World, body, world

OLD, NEW = new_key(), new_key()
TOKENS = json.dumps([{"token": "server", "access": "write"}, {"token": "reader"}])
SERVER = {"Authorization": "Bearer server"}
ROUND = "/v1/jobs/job/rounds/0"
MINE, AGGREGATE = f"{ROUND}/clients/mine", f"{ROUND}/aggregate"


def guarded(keys: str = OLD, like: World | None = None) -> World:
    """Return a gateway that asks for tokens; over the store of another one, if `like` is given."""
    return world(keys=Keys.parse(keys), tokens=TOKENS, store=like.store if like else None)


@pytest.fixture
def gateway() -> World:
    return guarded()


@pytest.fixture
async def http(gateway: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(gateway) as client:
        await client.put("/v1/jobs/job", json={"schema": TENSORS}, headers=SERVER)
        yield client


async def issue(http: httpx.AsyncClient, client: str = "mine", **wishes: Any) -> dict[str, str]:
    """Return the header with a ticket for a client."""
    answer = await http.post(f"{ROUND}/tickets", json={"clients": [client], **wishes}, headers=SERVER)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['tickets'][client]}"}


async def test_a_client_stores_its_own_update_and_reads_the_aggregate(http: httpx.AsyncClient) -> None:
    assert (await http.put(MINE, content=body(1), headers=await issue(http))).status_code == 201
    await http.put(AGGREGATE, content=body(2), headers=SERVER)
    answer = await http.get(AGGREGATE, headers=await issue(http, verb="aggregate"))
    assert (answer.status_code, answer.content) == (200, body(2))


async def test_a_ticket_is_a_few_hundred_bytes(http: httpx.AsyncClient) -> None:
    assert len((await issue(http))["Authorization"]) < 500


async def test_a_name_that_is_encoded_is_shown_as_it_was_given(http: httpx.AsyncClient) -> None:
    name = "Hospital A"
    answer = await http.post(f"{ROUND}/tickets", json={"clients": [encode(name)]}, headers=SERVER)
    ticket = {"Authorization": f"Bearer {answer.json()['tickets'][name]}"}
    assert (await http.put(f"{ROUND}/clients/{encode(name)}", content=body(1), headers=ticket)).status_code == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", f"{ROUND}/clients/other"),
        ("PUT", "/v1/jobs/job/rounds/1/clients/mine"),
        ("PUT", "/v1/jobs/another/rounds/0/clients/mine"),
        ("PUT", f"/v1/jobs/job/rounds/{'9' * 5000}/clients/mine"),
        ("GET", AGGREGATE),
    ],
)
async def test_a_ticket_for_something_else_is_forbidden(http: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, path, content=body(1), headers=await issue(http))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "this ticket is for the update of client 'mine' in round 0 of job 'job'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", AGGREGATE),
        ("GET", MINE),
        ("DELETE", MINE),
        ("POST", f"{ROUND}/commit"),
        ("POST", f"{ROUND}/tickets"),
        ("GET", "/v1/jobs/job"),
        ("POST", "/v1/jobs/job/workloads/metrics"),
    ],
)
async def test_a_ticket_is_no_token(http: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, path, content=b"{}", headers=await issue(http))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_a_ticket_ends(http: httpx.AsyncClient, gateway: World) -> None:
    ticket = await issue(http, seconds=60)
    gateway.time.sleep(61.0)
    answer = await http.put(MINE, content=body(1), headers=ticket)
    assert answer.status_code == 401
    assert "the ticket ended 1 s ago" in answer.json()["detail"]


async def test_a_ticket_ends_with_its_job(http: httpx.AsyncClient) -> None:
    ticket = await issue(http)
    await http.delete("/v1/jobs/job", headers=SERVER)
    await http.put("/v1/jobs/job", json={"schema": TENSORS}, headers=SERVER)
    answer = await http.put(MINE, content=body(1), headers=ticket)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert "was deleted" in answer.json()["detail"]


def longer(ticket: str) -> str:
    """Return a ticket whose time was moved, with the code as it was."""
    head, middle, code = ticket.split(".")
    fields = json.loads(base64.urlsafe_b64decode(middle))
    return f"{head}.{base64.urlsafe_b64encode(json.dumps({**fields, 'until': 10**10}).encode()).decode()}.{code}"


@pytest.mark.parametrize(
    "forge",
    [
        longer,
        lambda ticket: ticket[:-1] + ("0" if ticket[-1] != "0" else "1"),
        lambda ticket: ticket.rpartition(".")[0] + ".",
        lambda ticket: "flt1." + ticket.rpartition(".")[2],
        lambda ticket: "flt1.",
        lambda ticket: ticket + "ä",
        lambda ticket: ticket.replace("flt1.", "flt2."),
    ],
)
async def test_a_forged_ticket_is_refused(http: httpx.AsyncClient, forge: Callable[[str], str]) -> None:
    text = forge((await issue(http))["Authorization"])
    answer = await http.put(MINE, content=body(1), headers=[(b"Authorization", text.encode("latin-1"))])
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_every_gateway_with_the_key_takes_it_and_no_other(http: httpx.AsyncClient, gateway: World) -> None:
    ticket = await issue(http)
    for keys, expected in ((NEW, 401), (f"{NEW},{OLD}", 201)):
        async with client_of(guarded(keys, gateway)) as other:
            assert (await other.put(MINE, content=body(1), headers=ticket)).status_code == expected


async def test_a_repeated_ticket_repeats_the_update_and_replaces_it_only_if_it_may(http: httpx.AsyncClient) -> None:
    ticket = await issue(http)
    statuses = [(await http.put(MINE, content=body(seed), headers=ticket)).status_code for seed in (1, 1, 2)]
    assert statuses == [201, 200, 409]
    assert (await http.put(f"{MINE}?replace=true", content=body(2), headers=ticket)).status_code == 403
    may = await issue(http, replace=True)
    assert (await http.put(f"{MINE}?replace=true", content=body(2), headers=may)).status_code == 201


async def test_a_late_ticket_changes_no_committed_round(http: httpx.AsyncClient) -> None:
    ticket = await issue(http, replace=True)
    await http.put(f"{ROUND}/clients/other", content=body(1), headers=SERVER)
    await http.post(f"{ROUND}/commit", headers=SERVER)
    assert (await http.put(MINE, content=body(1), headers=ticket)).json()["code"] == "round-committed"
    answer = await http.post(f"{ROUND}/tickets", json={"clients": ["mine"]}, headers=SERVER)
    assert (answer.status_code, answer.json()["code"]) == (409, "round-committed")
    assert await issue(http, verb="aggregate")


async def test_readers_and_strangers_issue_none(http: httpx.AsyncClient) -> None:
    for token, status in (("reader", 403), ("", 401), ("somebody", 401)):
        headers = {"Authorization": f"Bearer {token}"}
        answer = await http.post(f"{ROUND}/tickets", json={"clients": ["mine"]}, headers=headers)
        assert answer.status_code == status


@pytest.mark.parametrize(
    "wish", [{"clients": []}, {"seconds": 0}, {"seconds": 10**6}, {"verb": "all"}, {"clients": ["/"]}]
)
async def test_an_odd_wish_is_refused(http: httpx.AsyncClient, wish: Any) -> None:
    answer = await http.post(f"{ROUND}/tickets", json={"clients": ["mine"], **wish}, headers=SERVER)
    assert answer.status_code == 422


async def test_without_a_key_there_are_no_tickets() -> None:
    async with client_of(world()) as http:
        await http.put("/v1/jobs/job", json={"schema": TENSORS})
        answer = await http.post(f"{ROUND}/tickets", json={"clients": ["mine"]})
        assert (answer.status_code, "FLSTORE_SERVICE_KEYS" in answer.json()["detail"]) == (422, True)


async def test_where_everybody_is_let_in_a_bad_ticket_is_still_refused() -> None:
    async with client_of(world(keys=Keys.parse(OLD))) as http:
        await http.put("/v1/jobs/job", json={"schema": TENSORS})
        answer = await http.put(MINE, content=body(1), headers={"Authorization": "Bearer flt1.e30.00"})
        assert answer.status_code == 401
        assert (await http.put(MINE, content=body(1), headers=await issue(http))).status_code == 201


@pytest.mark.parametrize("number", ["x", "-1", "٣", "99999999999"])
async def test_an_odd_round_is_refused(http: httpx.AsyncClient, number: str) -> None:
    path = f"/v1/jobs/job/rounds/{number}/clients/mine"
    assert (await http.put(path, content=body(1), headers=await issue(http))).status_code in (403, 422)


async def test_tickets_are_signed_in_a_thread(http: httpx.AsyncClient, gateway: World) -> None:
    """Thousands take a while, in which the event loop would answer nobody else."""
    threads = set()

    def now() -> float:
        threads.add(current_thread())
        return gateway.time.now()

    gateway.state.tickets = Tickets(Keys.parse(OLD), now)
    await issue(http)
    assert threads
    assert current_thread() not in threads


async def test_no_ticket_has_an_aggregate_made(http: httpx.AsyncClient) -> None:
    await http.put(MINE, content=body(1), headers=await issue(http))
    for verb in ("update", "aggregate"):
        answer = await http.post(AGGREGATE, json={}, headers=await issue(http, verb=verb))
        assert answer.status_code == 401
    answer = await http.post(AGGREGATE, json={}, headers={"Authorization": "Bearer reader"})
    assert answer.status_code == 403


async def test_a_client_reads_the_aggregate_that_was_made_of_its_update(http: httpx.AsyncClient) -> None:
    await http.put(MINE, content=body(1), headers=await issue(http))
    answer = await http.post(AGGREGATE, json={"method": "median"}, headers=SERVER)
    assert answer.status_code == 200, answer.text
    model = await http.get(AGGREGATE, headers=await issue(http, verb="aggregate"))
    assert model.headers["etag"] == f'"{answer.json()["result"]["artifact"]["sha256"]}"'


async def test_what_is_no_parameter_of_an_aggregate_is_refused(http: httpx.AsyncClient) -> None:
    await http.put(MINE, content=body(1), headers=await issue(http))
    answer = await http.post(AGGREGATE, json={"methud": "median"}, headers=SERVER)
    assert (answer.status_code, "methud" in answer.text) == (422, True)
