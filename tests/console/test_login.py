"""Logging in and out: whose token is asked with, and where it never is."""

import asyncio
import json
from pathlib import Path

import pytest
from fastapi import FastAPI
from nicegui.testing.user import User

from services.console import session
from services.console.session import COOKIE
from services.gateway.app import create_app
from tests.console.browsing import InProcess, browsing, sees, to
from tests.gateway.world import NAME, world

TOKEN = "a-secret-of-one-viewer"
TOKENS = json.dumps([{"token": TOKEN, "jobs": [NAME]}, {"token": "stranger", "jobs": ["nothing-*"]}])


@pytest.fixture
def guarded() -> FastAPI:
    """A gateway that asks for tokens, with one job."""
    gateway = world(tokens=TOKENS)
    gateway.create()
    return create_app(gateway.state)


async def log_in(user: User, token: str, to: str = "/") -> str:
    """Log in, and return where the browser is led."""
    answer = await user.http_client.post("/login", data={"token": token, "to": to})
    assert answer.status_code == 303
    return answer.headers["location"]


async def test_whoever_has_no_token_comes_to_the_login_and_back(guarded: FastAPI) -> None:
    async with browsing(to(guarded)) as user:
        answer = await user.http_client.get(f"/jobs/{NAME}?by=loss")
        assert (answer.status_code, answer.headers["location"]) == (307, f"/login?to=%2Fjobs%2F{NAME}%3Fby%3Dloss")
        await user.open(answer.headers["location"])
        await sees(user, "Token")
        assert await log_in(user, TOKEN, f"/jobs/{NAME}?by=loss") == f"/jobs/{NAME}?by=loss"
        await user.open(f"/jobs/{NAME}")
        await sees(user, "No rounds yet")


async def test_a_viewer_sees_the_jobs_of_the_token_alone(guarded: FastAPI) -> None:
    async with browsing(to(guarded)) as user:
        await log_in(user, "stranger")
        await user.open("/")
        await sees(user, "No jobs yet")
        await user.open(f"/jobs/{NAME}")
        await sees(user, "Your token does not allow this")


@pytest.mark.parametrize("token", ["wrong", "", "two words", "Ä"])
async def test_a_token_that_is_refused_begins_no_session(guarded: FastAPI, token: str) -> None:
    async with browsing(to(guarded)) as user:
        where = await log_in(user, token, "/cost")
        assert where == "/login?refused=token&to=%2Fcost"
        assert COOKIE not in user.http_client.cookies
        await user.open(where)
        await sees(user, "The gateway does not accept this token.")


async def test_a_gateway_that_is_away_does_not_refuse_the_token() -> None:
    async with browsing() as user:
        assert await log_in(user, TOKEN) == "/login?refused=gateway&to=%2F"


async def test_after_login_a_browser_is_led_nowhere_else(guarded: FastAPI) -> None:
    async with browsing(to(guarded)) as user:
        assert await log_in(user, TOKEN, "//evil.example") == "/"


async def test_the_cookie_is_for_the_console_alone_and_is_not_the_token(guarded: FastAPI) -> None:
    async with browsing(to(guarded)) as user:
        answer = await user.http_client.post("/login", data={"token": TOKEN})
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie
        assert TOKEN not in cookie
        secure = await user.http_client.post("https://test/login", data={"token": TOKEN})
        assert "Secure" in secure.headers["set-cookie"]


async def test_the_token_is_in_no_page_no_log_and_no_file(
    guarded: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level("DEBUG")
    async with browsing(to(guarded)) as user:
        await log_in(user, TOKEN)
        for path in ("/", f"/jobs/{NAME}", "/caches", "/cost", "/ask", "/login"):
            page = await user.http_client.get(path)
            assert page.status_code == 200
            assert TOKEN not in page.text
    assert TOKEN not in caplog.text
    assert list(tmp_path.rglob("*")) == []


async def test_logging_out_ends_the_pages_of_all_tabs(guarded: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LAST_WORD_S", 0.0)
    async with browsing(to(guarded)) as user:
        await log_in(user, TOKEN)
        tab = await user.open(f"/jobs/{NAME}")
        await user.open("/cost")
        await sees(user, "Log out")
        answer = await user.http_client.post("/logout")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        async with asyncio.timeout(10):
            while not tab.is_deleted:
                await asyncio.sleep(0)
        assert (await user.http_client.get("/")).headers["location"] == "/login?to=%2F"


async def test_a_token_that_is_revoked_leads_back_to_the_login() -> None:
    gateway = world(tokens=TOKENS)
    gateway.create()
    apps = [create_app(gateway.state)]

    class Current(InProcess):
        """Asks whichever gateway there is now."""

        def __init__(self, token: str | None) -> None:
            super().__init__(lambda *call: apps[-1](*call), token)

    async with browsing(Current) as user:
        await log_in(user, TOKEN)
        await user.open("/")
        apps.append(create_app(world(tokens='[{"token": "another"}]').state))
        assert (await user.http_client.get("/")).headers["location"] == "/login?to=%2F"


async def test_light_and_dark_are_remembered_and_lead_back() -> None:
    async with browsing() as user:
        for theme in ("dark", "light"):
            answer = await user.http_client.get(f"/theme/{theme}?to=/cost")
            assert (answer.status_code, answer.headers["location"]) == (303, "/cost")
            assert user.http_client.cookies["flstore_theme"] == theme
            page = (await user.http_client.get("/login")).text
            assert f"color-scheme: {theme}" in page


async def test_behind_a_proxy_every_address_has_its_prefix(guarded: FastAPI) -> None:
    behind = {"x-forwarded-prefix": "/console"}
    async with browsing(to(guarded)) as user:
        answer = await user.http_client.get("/cost", headers=behind)
        assert answer.headers["location"] == "/console/login?to=%2Fcost"
        answer = await user.http_client.post("/login", data={"token": TOKEN, "to": "/cost"}, headers=behind)
        assert answer.headers["location"] == "/console/cost"
        assert "Path=/console;" in answer.headers["set-cookie"]
        page = await user.http_client.get("/login", headers=behind)
        assert 'action=\\"/console/login\\"' in page.text or "/console/login" in page.text
        assert "/console/console" not in page.text
