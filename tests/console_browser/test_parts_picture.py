"""The picture of the parts, drawn by a browser in two common fonts: no word runs over the edge of its part.

`tests/test_parts_picture.py` measures the same from a font's file, without a browser.
"""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.test_parts_picture import PICTURE, SPARE, Box

FONTS = ("DejaVu Sans", "Liberation Sans")
MEASURED = """kind => [...document.querySelectorAll(`g.${kind}`)].map(group => {
    const box = element => {
        const {x, y, width, height} = element.getBBox();
        return [x, y, x + width, y + height];
    };
    return {
        edges: [...group.querySelectorAll("rect")].map(box),
        words: [...group.querySelectorAll("text")].map(text => [text.textContent, box(text)]),
    };
})"""


def drawn(browser: Browser, font: str) -> Page:
    page = browser.new_page()
    page.set_content(f"<style>svg, svg text {{ font-family: '{font}' }}</style>{PICTURE.read_text(encoding='utf-8')}")
    return page


def measured(page: Page, kind: str) -> list[tuple[list[Box], list[tuple[str, Box]]]]:
    """Return the edges, and the words with what they take, of each part or way."""
    groups: list[dict[str, Any]] = page.evaluate(MEASURED, kind)
    return [
        ([Box(*edge) for edge in group["edges"]], [(text, Box(*box)) for text, box in group["words"]])
        for group in groups
    ]


@pytest.mark.parametrize("font", FONTS)
def test_no_word_runs_over_the_edge_of_its_part(browser: Browser, font: str) -> None:
    page = drawn(browser, font)
    parts = measured(page, "part")
    assert len(parts) > 5
    for [edge], words in parts:
        for text, box in words:
            assert edge.holds(box, SPARE), text
    edges = [edge for [edge], _ in parts]
    for _, labels in measured(page, "way"):
        for text, box in labels:
            assert not [edge for edge in edges if edge.meets(box)], text
    page.close()


def test_both_fonts_are_there(browser: Browser) -> None:
    """A font that is missing is replaced by another, and the test above would say less than it seems to."""
    widths = set()
    for font in FONTS:
        page = drawn(browser, font)
        widths.add(sum(box.right - box.left for _, words in measured(page, "part") for _, box in words))
        page.close()
    assert len(widths) == len(FONTS), "apt-get install fonts-dejavu-core fonts-liberation"
