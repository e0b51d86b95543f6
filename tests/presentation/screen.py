"""What a terminal shows of an answer."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType

from flstore_core.cli.drawing import drawn
from flstore_core.presentation import present, tidy


def lines(renderables: Iterable[RenderableType], width: int, **options: Any) -> list[str]:
    """Return what a terminal of a width shows, without trailing blanks."""
    console = Console(width=width, markup=False, emoji=False, **options)
    with console.capture() as capture:
        for each in renderables:
            console.print(each)
    return [line.rstrip() for line in capture.get().splitlines()]


def screen(workload: str, answer: Any, width: int, wide: bool = False) -> list[str]:
    """Return the lines below the finding of a workload's answer, as `flstore run` shows them."""
    return lines(drawn(present(workload, tidy(answer, width // 2)).parts, wide), width)
