"""A square of numbers as a heat map: figures on a ground whose colour says the same.

The colours go from orange over white to blue, which every kind of colour blindness tells apart (ColorBrewer's PuOr and
RdBu, their orange and blue halves). Without colour the figures remain. Where they have no room they are given in tenths
of the scale, and where those have none, the first names, which are the most important ones, are shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from flstore_core.presentation import HeatMap, fitting

PALETTE = ("#b35806", "#f1a340", "#fee0b6", "#f7f7f7", "#d1e5f0", "#67a9cf", "#2166ac")
"""From the low end of the scale to the high one."""
_ON_DARK, _ON_LIGHT = "#ffffff", "#000000"
_DARK = frozenset({PALETTE[0], PALETTE[-1]})
_LONGEST = 24
"""Characters of a name, which would leave too little room for the figures."""
_TENTHS = 3
"""Cells of a figure in tenths, from -10 to 10."""


@dataclass(frozen=True)
class HeatPicture:
    """A heat map in as much width as there is."""

    map: HeatMap

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        picture = self.map
        names = list(fitting(picture.names, _LONGEST).values())
        heads = names if all(cell_len(name) <= _TENTHS for name in names) else [str(n + 1) for n in range(len(names))]
        labels = (
            names
            if heads is names
            else [f"{head:>{len(heads[-1])}} {name}" for head, name in zip(heads, names, strict=True)]
        )
        margin = max(map(cell_len, labels)) + 1
        figure, width = self._figures(options.max_width - margin, max(map(len, heads)))
        count = min(len(names), max(1, (options.max_width - margin) // width))
        yield Text(picture.title, "bold")
        yield Text(" " * margin + "".join(f"{head:>{width}}" for head in heads[:count]), "dim")
        for label, row in zip(labels[:count], picture.values, strict=False):
            yield self._line(label, margin, [figure(value) for value in row[:count]], row, width)
        yield from [Text("in tenths", "dim")] if figure == self._tenths else []
        if more := picture.more + len(names) - count:
            yield Text(f"{more:,} more; --json shows all", "dim")

    def _line(self, label: str, margin: int, figures: Sequence[str], row: Sequence[float], width: int) -> Text:
        line = Text(label + " " * (margin - cell_len(label)), no_wrap=True)
        for text, value in zip(figures, row, strict=False):
            line.append(f"{text:>{width}}", self._style(value))
        return line

    def _figures(self, room: int, head: int) -> tuple[Callable[[float], str], int]:
        """Return how a value is written, and in how many cells: exactly if that fits, else in tenths."""
        exact = max(len(_exact(value)) for row in self.map.values for value in row)
        width = max(exact, head) + 1
        if width * len(self.map.names) <= room:
            return _exact, width
        return self._tenths, max(_TENTHS, head + 1)

    def _tenths(self, value: float) -> str:
        greatest = max(abs(self.map.low), abs(self.map.high)) or 1.0
        return str(round(10 * value / greatest))

    def _style(self, value: float) -> Style:
        low, high = self.map.low, self.map.high
        share = (value - low) / (high - low) if high > low else 0.5
        ground = PALETTE[round(min(max(share, 0.0), 1.0) * (len(PALETTE) - 1))]
        return Style(color=_ON_DARK if ground in _DARK else _ON_LIGHT, bgcolor=ground)


def _exact(value: float) -> str:
    """Return a figure to two places, without the zero before the point."""
    if abs(value) >= 0.995:
        return f"{value:.3g}"
    return f"{value:.2f}".replace("0.", ".", 1)
