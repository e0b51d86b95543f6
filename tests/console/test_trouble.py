"""A gateway that is away, slow or restarted, and what is deleted while somebody looks at it."""

import asyncio
from collections.abc import Mapping

import pytest
from fastapi import FastAPI
from nicegui import ui
from nicegui.testing.user import User

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.errors import FLStoreError, NotFound, Unauthorized, Unavailable
from services.console import pages
from services.console.parts.elements import text
from services.console.views import overview
from tests.console.browsing import browsing, sees, to
from tests.gateway.world import World

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "x" * 300,
    "\u202eevil",
    "a\nb",
]


async def test_a_gateway_that_is_away_is_said_so_with_a_way_on() -> None:
    async with browsing() as user:
        await user.open("/")
        for words in ("The gateway does not answer", "Try again", "It may be starting again, or busy."):
            await sees(user, words)


async def test_a_page_does_not_wait_for_a_slow_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = asyncio.Event()

    async def slow(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
        await answered.wait()
        text("It has answered")

    monkeypatch.setattr(pages, "VIEWS", (pages.View("/", "Overview", slow),))
    monkeypatch.setattr("services.console.app.VIEWS", pages.VIEWS)
    async with browsing(patience_s=0.01) as user:
        await user.open("/")
        await sees(user, "Waiting for the gateway")
        answered.set()
        await sees(user, "It has answered")
        await user.should_not_see("Waiting for the gateway")


async def test_a_defect_of_a_view_is_told_without_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
        raise KeyError("an inner secret")

    monkeypatch.setattr("services.console.app.VIEWS", (pages.View("/", "Overview", broken),))
    async with browsing() as user:
        await user.open("/")
        await sees(user, "The console could not draw this")
        await user.should_not_see("inner secret")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unavailable("away"), "The gateway does not answer at the moment"),
        (NotFound("deleted"), "This is not there (any more)"),
    ],
)
async def test_what_was_shown_stays_when_a_look_fails(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, error: FLStoreError, words: str
) -> None:
    async with browsing(to(app)) as user:
        await user.open("/")
        await sees(user, "2 rounds, 4 clients")

        async def fail(_: AsyncFLStore) -> overview.Now:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(overview, "look", fail)
            await turn(user)
        await sees(user, words)
        await sees(user, "2 rounds, 4 clients")


async def test_the_line_about_an_old_view_goes_when_the_gateway_is_back(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with browsing(to(app)) as user:
        await user.open("/")

        async def fail(_: AsyncFLStore) -> overview.Now:
            raise Unavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(overview, "look", fail)
            await turn(user)
            await sees(user, "The gateway does not answer at the moment")
        await turn(user)
        await user.should_not_see("The gateway does not answer at the moment")


async def test_a_viewer_whose_token_was_revoked_meanwhile_comes_to_the_login(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with browsing(to(app)) as user:
        await user.open("/")

        async def refuse(_: AsyncFLStore) -> overview.Now:
            raise Unauthorized("revoked")

        monkeypatch.setattr(overview, "look", refuse)
        await turn(user)
        await sees(user, "The console asks the gateway with your own token")


async def turn(user: User) -> None:
    """Have what is live look once more."""
    for timer in user.find(ui.timer).elements:
        with user:
            await timer.callback()  # type: ignore[misc]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_is_shown_as_text_whatever_it_holds(app: FastAPI, gateway: World, name: str) -> None:
    async with browsing(to(app)) as user:
        client = await user.open("/cost?job=mnist")
        with client:
            drawn = text(name)
            assert drawn.text.isprintable() or "\u2068" in drawn.text
        assert "<img" not in (await user.http_client.get("/login", params={"to": name})).text
