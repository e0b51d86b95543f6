"""What a browser shows when something goes wrong, or when somebody means harm."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from flstore_core.client import FLStore
from services.console import links
from tests.console_browser.conftest import Open
from tests.console_browser.system import System, system
from tests.console_browser.test_every_view import settled

ALL, FEW = "a-token-for-all-jobs", "a-token-for-few-jobs"
HOSTILE = {
    "markup": "<b>bold</b>&amp;",
    "script": "<script>document.title='owned'</script>",
    "event": "<img src=x onerror=document.title='owned'>",
    "long": "n" * 40 + "-" + "o" * 60,
    "right to left": "\u05d0\u05d1\u202e<i>",
    "template": "{{7*7}} ${7*7} {b}",
}


def store_round(client: FLStore, job: str, clients: list[str], number: int = 0) -> None:
    """Store one committed round of tiny updates."""
    rng = np.random.default_rng(len(clients))
    client.create_job(job, like={"w": np.zeros(8, np.float32)})
    for place, name in enumerate(clients):
        metrics = {"loss": 0.1 * place, "<u>metric</u>": 1.0}
        client.put_update(job, number, name, {"w": rng.normal(size=8).astype(np.float32)}, metrics=metrics)
    client.commit(job, number, metrics={"<script>document.title='owned'</script>": 0.5})


def log_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[System]:
    """Yield a system with two tokens, one for all jobs and one for `mine` alone."""
    tokens = json.dumps(
        [{"token": ALL, "jobs": ["*"], "access": "write"}, {"token": FEW, "jobs": ["mine"], "access": "read"}]
    )
    with system(tmp_path, {**os.environ, "FLSTORE_TOKENS": tokens}) as running:
        with running.client(ALL) as client:
            for job in ("mine", "theirs"):
                store_round(client, job, ["a", "b", "c"])
        yield running


def test_names_from_outside_are_text_wherever_they_stand(open_page: Open, own: System) -> None:
    names = list(HOSTILE.values())
    with own.client() as client:
        store_round(client, HOSTILE["markup"], names)
    views = [links.OVERVIEW, links.job(HOSTILE["markup"]), links.round_(HOSTILE["markup"], 0)]
    views += [links.client(HOSTILE["markup"], name) for name in names]
    views += [links.ask(job=HOSTILE["markup"], workload="clustering", round=0)]
    for path in views:
        page = settled(open_page(own.console + path))
        assert page.title() != "owned"
        assert page.locator("main b, main i, main u, main img, main script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    page = settled(open_page(own.console + views[2]))
    expect(page.get_by_role("link", name=HOSTILE["markup"]).first).to_be_visible()


def test_a_token_sees_its_own_jobs_and_no_others(open_page: Open, guarded: System) -> None:
    page = open_page(guarded.console + links.OVERVIEW)
    log_in(page, FEW)
    settled(page)
    expect(page.get_by_role("link", name="mine").first).to_be_visible()
    expect(page.get_by_text("theirs")).to_have_count(0)
    page.goto(guarded.console + links.round_("theirs", 0))
    expect(page.get_by_text("Your token does not allow this")).to_be_visible()
    assert FEW not in page.url
    assert all(FEW not in str(cookie) for cookie in page.context.cookies())
    assert FEW not in guarded.log.read_text()


def test_a_deep_link_leads_through_the_login_to_its_view(open_page: Open, guarded: System) -> None:
    page = open_page(guarded.console + links.round_("mine", 0))
    log_in(page, "not-a-token")
    expect(page.get_by_text("The gateway does not accept this token.", exact=False)).to_be_visible()
    log_in(page, FEW)
    expect(page.get_by_role("heading", name="mine, round 0")).to_be_visible()


def test_who_may_only_read_is_told_so_and_erases_nothing(open_page: Open, guarded: System) -> None:
    page = open_page(guarded.console + links.client("mine", "a"))
    log_in(page, FEW)
    settled(page)
    _erase(page, "a")
    expect(page.locator(".state-trouble")).to_be_visible()
    with guarded.client(ALL) as client:
        assert client.client("mine", "a").rounds == [0]


def test_an_erasure_has_a_receipt(open_page: Open, own: System) -> None:
    with own.client() as client:
        store_round(client, "mine", ["a", "b", "c"])
        page = settled(open_page(own.console + links.client("mine", "a")))
        _erase(page, "a")
        expect(page.get_by_text("a was erased from rounds 0.")).to_be_visible()
        assert client.round("mine", 0).by_client.keys() == {"b", "c"}


def test_a_job_that_is_deleted_while_looked_at_is_said_to_be_gone(open_page: Open, own: System) -> None:
    with own.client() as client:
        store_round(client, "mine", ["a", "b", "c"])
        client.put_update("mine", 1, "a", {"w": np.ones(8, np.float32)})
        page = settled(open_page(own.console + links.round_("mine", 1)))
        client.delete_job("mine")
        expect(page.get_by_text("This is not there (any more)")).to_be_visible()


def test_a_gateway_that_starts_again_is_waited_for(open_page: Open, own: System) -> None:
    with own.client() as client:
        store_round(client, "mine", ["a", "b", "c"])
        client.put_update("mine", 1, "a", {"w": np.ones(8, np.float32)})
        page = settled(open_page(own.console + links.round_("mine", 1)))
        _kill_gateway(own)
        client.put_update("mine", 1, "b", {"w": np.ones(8, np.float32)})
    expect(page.get_by_text(re.compile("^ ?2 of .* expected updates are here"))).to_be_visible()


def test_two_tabs_look_at_two_things(open_page: Open, own: System) -> None:
    with own.client() as client:
        store_round(client, "one", ["a", "b", "c"])
        store_round(client, "two", ["d", "e", "f"])
    first, second = (settled(open_page(own.console + links.round_(job, 0))) for job in ("one", "two"))
    expect(first.get_by_role("link", name="a", exact=True).first).to_be_visible()
    expect(second.get_by_role("link", name="d", exact=True).first).to_be_visible()
    expect(second.get_by_role("link", name="a", exact=True)).to_have_count(0)


def _erase(page: Page, client: str) -> None:
    page.get_by_role("button", name="Erase …").click()
    page.get_by_label("client-name").fill(client)
    page.get_by_role("button", name="Erase for good").click()


def _kill_gateway(running: System) -> None:
    """End the gateway's process; its supervisor starts another one under the same address."""
    port = running.gateway.rsplit(":", 1)[1]
    assert port.isdecimal()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int(re.search(r"PPid:\s+(\d+)", (folder / "status").read_text())[1])  # type: ignore[index]
        except (OSError, TypeError):
            continue
        if b"services.gateway" in command and parent == os.getpid():
            os.kill(int(folder.name), 9)


def test_leaving_ends_the_session_in_every_tab(open_page: Open, guarded: System) -> None:
    first = open_page(guarded.console + links.OVERVIEW)
    log_in(first, FEW)
    settled(first)
    second = first.context.new_page()
    second.goto(guarded.console + links.job("mine"))
    settled(second)
    first.get_by_role("button", name="Log out").click()
    expect(first.get_by_label("Token")).to_be_visible()
    expect(second.get_by_label("Token")).to_be_visible()
