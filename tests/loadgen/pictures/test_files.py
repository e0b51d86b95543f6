"""Pictures with their data beside them, and the checked-in ones."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from loadgen.__main__ import main
from loadgen.pictures.base import Axis, Picture
from loadgen.pictures.drawing import draw
from loadgen.pictures.files import kept, save

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PICTURE = Picture("Ä title", {"a": [(1.0, 0.5), (2.5, 1.0)], "none": []}, Axis("x", ticks=(1, 2)), Axis.share("y"))
BY_HAND = {DOCS / "parts.svg"}
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str | None]:
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_picture_lies_beside_its_data_and_can_be_drawn_anew_from_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    save(PICTURE, tmp_path / "deep", "mine")
    [(path, picture)] = kept(tmp_path)
    assert path == tmp_path / "deep" / "mine.svg"
    assert draw(picture) == draw(PICTURE) == path.read_text(encoding="utf-8")
    assert "[2.5, 1.0]" in (tmp_path / "deep" / "mine.data.json").read_text(encoding="utf-8"), "a point in a line"


def test_the_command_draws_what_lies_in_a_folder(tmp_path: Path) -> None:
    save(PICTURE, tmp_path, "mine")
    (tmp_path / "mine.svg").unlink()
    result = CliRunner().invoke(main, ["pictures", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert result.output == f"{tmp_path / 'mine.svg'}\n"
    assert (tmp_path / "mine.svg").read_text(encoding="utf-8") == draw(PICTURE)


def test_every_checked_in_picture_has_its_data_or_is_drawn_by_hand() -> None:
    assert {path for path, _ in kept(DOCS)} == set(DOCS.rglob("*.svg")) - BY_HAND


@pytest.mark.parametrize("folder", ["images", "results"])
def test_checked_in_pictures_say_what_their_data_says(folder: str) -> None:
    """Words and numbers along the axes alone: the last digit of a place may be another on another processor."""
    for path, picture in kept(DOCS / folder):
        assert texts(path.read_text(encoding="utf-8")) == texts(draw(picture)), f"run `make pictures`: {path}"
