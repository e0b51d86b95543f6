"""Every view, over a job of the demonstration and over nothing, light and dark, wide and narrow."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from loadgen.demo.training import Training
from services.console.pages import VIEWS, View
from tests.console_browser.conftest import Open
from tests.console_browser.system import JOB, System, attacker_of

THEMES = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
BOTH_ENDS = [THEMES[0], THEMES[3]]
ROUND = 8
SERIOUS = frozenset({"serious", "critical"})

Trained = tuple[System, Training]


def settled(page: Page) -> Page:
    """Wait until the view is drawn: the frame's line that it waits is gone, and something else is there."""
    expect(page.get_by_text("Waiting for the gateway …")).to_have_count(0)
    expect(page.locator("main.page > *:not(h1)").first).to_be_attached()
    page.wait_for_function("document.fonts.status === 'loaded'")
    return page


def look_well(page: Page) -> None:
    """Hold a page to its width."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
        f"{page.url} is wider than its window"
    )


def is_usable(page: Page) -> None:
    """Hold a page to what axe finds without a person."""
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in SERIOUS]
    what = [(each["id"], each["help"], [node["html"] for node in each["nodes"][:3]]) for each in serious]
    assert not serious, f"{page.url}: {json.dumps(what, indent=1)}"


def address(view: View, client: str, number: int = ROUND) -> str:
    return view.path.format(job=JOB, round=number, client=client)


@pytest.mark.parametrize(("theme", "width"), THEMES)
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.path)
def test_every_view_of_a_job(open_page: Open, trained: Trained, view: View, theme: str, width: int) -> None:
    system, training = trained
    page = settled(open_page(system.console + address(view, attacker_of(training)), theme=theme, width=width))
    assert page.locator("[role=alert]").all_inner_texts() == []
    look_well(page)
    if (theme, width) in BOTH_ENDS:
        is_usable(page)


@pytest.mark.parametrize(("theme", "width"), BOTH_ENDS)
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.path)
def test_every_view_of_nothing_says_what_to_do(
    open_page: Open, empty: System, view: View, theme: str, width: int
) -> None:
    page = settled(open_page(empty.console + address(view, "nobody"), theme=theme, width=width))
    assert len(page.locator("main.page").inner_text()) > len("Overview") + 20
    look_well(page)
    is_usable(page)
