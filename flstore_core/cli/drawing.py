"""An answer's presentation, drawn for a terminal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from flstore_core.cli.heat import HeatPicture
from flstore_core.cli.tables import FittedTable, pairs
from flstore_core.presentation import Facts, HeatMap, Shown, Table, general, tidy


def drawn(parts: Iterable[Shown], wide: bool = False) -> Iterator[RenderableType]:
    """Yield each part below an empty line."""
    for part in parts:
        yield ""
        match part:
            case Table(title, columns, rows, more):
                yield FittedTable(title, columns, rows, more, wide)
            case HeatMap():
                yield HeatPicture(part)
            case Facts(title, values):
                yield from [Text(title, "bold")] if title else []
                yield pairs(values.items())


def drawn_object(value: Mapping[str, Any], wide: bool = False) -> Iterator[RenderableType]:
    """Yield what a JSON object holds, by the general rule."""
    yield from drawn(general.parts(tidy(value)), wide)
