"""Colours that people who are colour-blind can tell apart, on light and on dark.

Categories: Okabe and Ito, "Color Universal Design" (2008). Scales: cividis (Nuñez and others, PLoS ONE 2018), which is
nearly the same to all, and gets lighter throughout; for values around a middle, blue to orange.
"""

from collections.abc import Sequence
from typing import Final

CATEGORIES: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#7f7f7f")
"""Okabe and Ito's; their yellow is darker here, and their black grey, so that both show on either background."""
SCALE: Final = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
)  # fmt: skip
"""Cividis from low to high."""
AROUND: Final = ("#0072b2", "#56b4e9", "#e0e0e0", "#f0b565", "#d55e00")
"""From below the middle to above it."""
GOOD: Final = CATEGORIES[2]
BAD: Final = CATEGORIES[1]


def category(number: int) -> str:
    """Return the colour of the category with this number; after the last one it begins anew."""
    return CATEGORIES[number % len(CATEGORIES)]


def scale_colour(share: float, colours: Sequence[str] = SCALE) -> str:
    """Return the colour of the scale at a share from 0 to 1; beyond its ends, that of the end."""
    return colours[min(int(max(share, 0.0) * len(colours)), len(colours) - 1)]
