"""Tokens of viewers: kept behind random ids, for as long as the session lasts."""

from functools import partial

from starlette.requests import Request

from flstore_core.client.async_client import AsyncFLStore
from services.console.session import COOKIE, Sessions
from tests.fakes.clock import Clock

connect = partial(AsyncFLStore, "http://there")


def request(number: str = "") -> Request:
    headers = [(b"cookie", f"{COOKIE}={number}".encode())] if number else []
    return Request({"type": "http", "headers": headers})


def test_a_viewer_asks_with_the_token_of_the_session_and_nobody_else_does() -> None:
    sessions = Sessions(connect, 60.0)
    mine, other = sessions.connect("mine"), sessions.connect("other")
    number, _ = sessions.begin(mine), sessions.begin(other)
    assert sessions.viewer(request(number)) is mine
    assert sessions.viewer(request("guessed")) is sessions.viewer(request()) is not mine


def test_a_session_ends_when_it_was_not_used_for_long() -> None:
    clock = Clock()
    sessions = Sessions(connect, 60.0, clock)
    number = sessions.begin(sessions.connect("mine"))
    clock.sleep(59.0)
    assert sessions.knows(request(number))
    sessions.viewer(request(number))
    clock.sleep(59.0)
    assert sessions.viewer(request(number)) is not sessions.viewer(request())
    clock.sleep(61.0)
    assert sessions.viewer(request(number)) is sessions.viewer(request())
    assert not sessions.knows(request(number))
