"""Pictures as files, each with its data beside it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from loadgen.pictures.base import Picture
from loadgen.pictures.drawing import draw

POINT = re.compile(r"\[\s+(-?\d[^\s,]*),\s+(-?\d[^\s,]*)\s+\]")
DATA = ".data.json"
"""Ends the name of a picture's data: those of `cold.svg` are in `cold.data.json`."""


def save(picture: Picture, folder: Path, name: str) -> None:
    """Write a picture's data and the picture."""
    text = POINT.sub(r"[\1, \2]", json.dumps(picture.to_json(), ensure_ascii=False, indent=1))
    (folder / f"{name}{DATA}").write_text(f"{text}\n", encoding="utf-8")
    (folder / f"{name}.svg").write_text(draw(picture), encoding="utf-8")


def kept(folder: Path) -> Iterator[tuple[Path, Picture]]:
    """Yield each picture below a folder with the file that it is drawn into."""
    for path in sorted(folder.rglob(f"*{DATA}")):
        data = json.loads(path.read_text(encoding="utf-8"))
        yield path.with_name(path.name.removesuffix(DATA) + ".svg"), Picture.from_json(data)
