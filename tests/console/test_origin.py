"""What another site's pages can make a browser send to the console."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Scope

from services.console.origin import OwnPagesOnly, is_own

OTHERS = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
]
OWN = [
    {},
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"origin": "http://console", "host": "console"},
]


def client() -> httpx.AsyncClient:
    route = Route("/", lambda _: PlainTextResponse("done"), methods=["GET", "POST"])
    app = OwnPagesOnly(Starlette(routes=[route]))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console")


@pytest.mark.parametrize("headers", OTHERS)
async def test_another_site_can_look_but_change_nothing(headers: dict[str, str]) -> None:
    async with client() as http:
        assert (await http.post("/", headers=headers)).status_code == 403
        assert (await http.get("/", headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", OWN)
async def test_own_pages_and_programs_may_change_something(headers: dict[str, str]) -> None:
    async with client() as http:
        assert (await http.post("/", headers=headers)).status_code == 200
    assert is_own(Headers(headers))


@pytest.mark.parametrize("headers", OTHERS)
async def test_a_web_socket_of_another_site_is_refused(headers: dict[str, str]) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": "websocket", "headers": raw, "path": "/"}
    await OwnPagesOnly(Starlette())(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_no_other_site_shows_a_page_within_its_own() -> None:
    async with client() as http:
        assert "frame-ancestors 'none'" in (await http.get("/")).headers["content-security-policy"]
