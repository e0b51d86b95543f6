"""A browser, and systems for it to look at.

The browser is the operating system's `chromium`; Playwright only drives it. Every page is held to what any page has to
keep: no error in the console of the browser, and no request that leaves this machine.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from loadgen.demo.training import Training
from services.console.parts.theme import COOKIE
from tests.console_browser.system import System, system, train

HEIGHT = 900
PATIENCE_MS = 60_000
"""Most that is waited for anything; a busy machine takes long to draw a page."""


class Open(Protocol):
    """Opens an address in a page of its own, in a browser that has no cookies."""

    def __call__(self, url: str, *, theme: str = "light", width: int = 1280) -> Page: ...


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "these tests need a browser: apt-get install chromium"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    troubles: list[str] = []
    with ExitStack() as stack:

        def open_(url: str, *, theme: str = "light", width: int = 1280) -> Page:
            context = _context(browser, url, theme, width)
            stack.callback(context.close)
            page = context.new_page()
            watch(page, troubles)
            page.goto(url)
            return page

        yield open_
    assert not troubles, "\n".join(troubles)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Training]]:
    """Yield a system with the demonstration's job; tests only look at it."""
    with system(tmp_path_factory.mktemp("trained")) as running, running.client() as client:
        yield running, train(client)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield a system that stores nothing."""
    with system(tmp_path_factory.mktemp("empty")) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[System]:
    """Yield a system that a test may change."""
    with system(tmp_path) as running:
        yield running


def _context(browser: Browser, url: str, theme: str, width: int) -> BrowserContext:
    scheme: Literal["dark", "light"] = "dark" if theme == "dark" else "light"
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    if url.startswith("http"):
        context.add_cookies([{"name": COOKIE, "value": theme, "url": url}])
    return context


def watch(page: Page, troubles: list[str]) -> None:
    """Note errors of the page, and requests that would leave this machine."""
    page.on("pageerror", lambda error: troubles.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda said: (
            troubles.append(f"{page.url}: {said.text}") if said.type == "error" and not _is_away(said.text) else None
        ),
    )
    page.on("request", lambda request: None if _is_here(request.url) else troubles.append(f"asks {request.url}"))


def _is_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about", "file") or parts.hostname in ("127.0.0.1", "localhost")


def _is_away(said: str) -> bool:
    """Return whether a browser says no more than that a page answered with an error, was left, or lost its console."""
    is_gone = "net::ERR_CONNECTION" in said or "WebSocket is already in CLOSING or CLOSED state" in said
    return is_gone or ("Failed to load resource" in said and ("404" in said or "401" in said))
