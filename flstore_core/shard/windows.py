"""Windows: a slice of more models than the cache holds is worked through stretch by stretch of its elements.

A workload's `map` never sees a whole model, only a slice of it, and what it returns adds up or is put side by side over
slices. So a stretch of a slice is as good as a slice: where a slice of all models does not fit, a shard runs `map` over
the first *window* of it and says how far that reaches, and the gateway asks for the next one. Coordinate-wise rules see
each coordinate of every model, weighted sums and norms add up, and no workload has to know.

Example: a cache of 1600 bytes, and a slice with the flat elements [100, 110) in float32, 40 bytes of each model. Of 40
models it has 1600 bytes and fits. Of 50 it has 2000 and does not. A window may take 1600 / 8 = 200 bytes, which is one
element of each model:

    asked from 100    map over [100, 101), window 100-101
    asked from 101    map over [101, 102), window 101-102
    …
    asked from 109    map over [109, 110), the end of the slice

Each window is a request of its own. None takes long, one that fails is asked for again alone, other questions come in
between, and a gateway that has gone away asks no more.

What is combined coordinate by coordinate comes out the same to the last bit. Sums over coordinates, such as a distance,
are added up in another order, which changes a float64's last digits (docs/decisions/sums-in-float64.md).
"""

from dataclasses import dataclass
from typing import Final

SHARE: Final = 8
"""A window of all models takes at most the cache's budget divided by this, beside the cache."""
MOST: Final = 1000
"""Windows of a slice. More of them would be reads so short that an answer takes hours."""
ALIGNED: Final = 65_536
"""Windows end at multiples of this, if they are that wide: the blocks in which models are combined do too."""


@dataclass(frozen=True, slots=True)
class Window:
    """The flat elements [start, stop) of a slice."""

    start: int
    stop: int

    def to_header(self) -> str:
        """Return the value of `WINDOW_HEADER`."""
        return f"{self.start}-{self.stop}"

    @classmethod
    def from_header(cls, text: str) -> "Window":
        """Return what a `WINDOW_HEADER` says; raise `ValueError` if that is no window."""
        start, stop = map(int, text.split("-"))
        if start >= stop:
            raise ValueError(f"window {text!r} is empty")
        return cls(start, stop)


def window_from(start: int, bounds: tuple[int, int], element_nbytes: int, budget: int) -> Window | None:
    """Return the window of a slice that begins at `start`; None if not one element of all models fits, or too few do.

    Args:
        start: a flat element of the slice.
        bounds: the slice's flat elements [start, stop).
        element_nbytes: bytes that one element of all models takes together.
        budget: of the cache, in bytes.
    """
    first, last = bounds
    width = budget // SHARE // element_nbytes or int(element_nbytes <= budget)
    if width * MOST < last - first:
        return None
    if width < ALIGNED:
        return Window(start, min(start + width, last))
    return Window(start, min(start - start % ALIGNED + width - width % ALIGNED, last))
