"""Answers as people read them: the finding in one line, then what matters most.

What belongs here is what any screen needs, a terminal's or a page's: words, the order of rows and columns, what is left
out. How that is drawn does not. `catalogue` has a view for each built-in workload; a package's workload may have
one of its own (`docs/workloads.md`), and `general` shows any other.
"""

from flstore_core.presentation import general
from flstore_core.presentation.base import (
    MOST_ROWS,
    Answer,
    Facts,
    Grid,
    HeatMap,
    Listing,
    Presentation,
    Row,
    Shown,
    Table,
    View,
)
from flstore_core.presentation.names import LEAST_ROOM, fitting, legible, tidy
from flstore_core.presentation.views import present, view_of
from flstore_core.presentation.words import counted, listed, percent, shown, spans, spoken

__all__ = [
    "LEAST_ROOM",
    "MOST_ROWS",
    "Answer",
    "Facts",
    "Grid",
    "HeatMap",
    "Listing",
    "Presentation",
    "Row",
    "Shown",
    "Table",
    "View",
    "counted",
    "fitting",
    "general",
    "legible",
    "listed",
    "percent",
    "present",
    "shown",
    "spans",
    "spoken",
    "tidy",
    "view_of",
]
