"""Pictures of five views, as docs/console.md and the README show them: made of the page, so they show what there is."""

from pathlib import Path

import pytest

from services.console import links
from tests.console_browser.conftest import Open
from tests.console_browser.system import JOB, attacker_of
from tests.console_browser.test_every_view import ROUND, Trained, settled

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = (1280, 860)

PICTURES = {
    "overview": (links.OVERVIEW, "light"),
    "job": (links.job(JOB), "light"),
    "round": (links.round_(JOB, ROUND), "light"),
    "client": ("", "dark"),
    "ask": (links.ask(job=JOB, workload="malicious-filter", round=ROUND), "dark"),
}
"""Address and theme of each; the client's is the attacker's."""


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_the_view(open_page: Open, trained: Trained, name: str) -> None:
    where, training = trained
    path, theme = PICTURES[name]
    page = settled(open_page(where.console + (path or links.client(JOB, attacker_of(training))), theme=theme))
    page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
    if name == "ask":
        page.get_by_role("button", name="Ask the question").click()
        page.get_by_role("heading", name="Answer", exact=True).scroll_into_view_if_needed()
    if name == "round":
        page.get_by_role("heading", name="Similarity").evaluate("each => window.scrollTo(0, each.offsetTop - 320)")
    page.wait_for_timeout(1_000)  # for charts, which are drawn by the browser after the page is whole
    picture = page.screenshot(path=IMAGES / f"console-{name}.png")
    assert len(picture) > 10_000
