"""The picture of the parts: its words fit, also in a wide font, and stand in nobody's way.

Measured with DejaVu Sans, which is wider than nearly all sans-serif fonts, from its file: no browser is needed. The
tests in a browser do the same with the fonts that it has.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

PICTURE = Path(__file__).parent.parent / "docs" / "parts.svg"
SVG = "{http://www.w3.org/2000/svg}"
SPARE = 8.0
"""Between a word and the edge, at least."""


@dataclass(frozen=True)
class Box:
    """Where something stands, in the picture's units."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, other: "Box", spare: float) -> bool:
        return (
            self.left + spare <= other.left
            and other.right <= self.right - spare
            and self.top + spare <= other.top
            and other.bottom <= self.bottom - spare
        )

    def meets(self, other: "Box") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def words(group: ElementTree.Element) -> Iterator[tuple[str, Box]]:
    """Yield each text with the box that it takes."""
    for element in group.iter(f"{SVG}text"):
        is_title = element.get("class") == "title"
        size = 14.0 if is_title else 12.0
        font = FT2Font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if is_title else "normal")))
        font.set_size(size, 72)
        text = element.text or ""
        font.set_text(text)
        left, line = float(element.attrib["x"]), float(element.attrib["y"])
        yield text, Box(left, line - size, left + font.get_width_height()[0] / 64, line + 0.3 * size)


def rectangle(element: ElementTree.Element) -> Box:
    x, y, width, height = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
    return Box(x, y, x + width, y + height)


def groups(kind: str) -> list[ElementTree.Element]:
    return [each for each in ElementTree.parse(PICTURE).getroot().iter(f"{SVG}g") if each.get("class") == kind]


def test_every_part_has_room_for_its_words() -> None:
    for part in groups("part"):
        [edge] = part.iter(f"{SVG}rect")
        for text, box in words(part):
            assert rectangle(edge).holds(box, SPARE), text


def test_what_is_written_beside_a_way_meets_no_part_and_no_other_words() -> None:
    parts = [rectangle(edge) for part in groups("part") for edge in part.iter(f"{SVG}rect")]
    labels = [label for way in groups("way") for label in words(way)]
    for text, box in labels:
        assert not [part for part in parts if part.meets(box)], text
        assert [other for other, there in labels if there.meets(box)] == [text]


def test_all_words_belong_to_a_part_or_a_way() -> None:
    assert {each for kind in ("part", "way") for group in groups(kind) for each in words(group)} == set(
        words(ElementTree.parse(PICTURE).getroot())
    )
