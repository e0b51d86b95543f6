"""Draws pictures as SVG by matplotlib: the same bytes for the same picture, and one look for all.

Curves are told apart by colour, dashes and marks. The colours are those of Okabe and Ito ("Color Universal Design",
2008), which most colour-blind people can tell apart; yellow is left out, since it can hardly be seen on white, and grey
takes its place. The ground is white, so that a picture can be read on a dark page too. Text stays text: a viewer may
take another font than the one that the picture was laid out with, DejaVu Sans, which is wider than nearly all others.
"""

import io
import textwrap
import warnings
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal

from flstore_core.presentation.names import fitting, legible
from loadgen.pictures.base import Axis, Curve, Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis as DrawnAxis
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
"""As many marks as colours, dashes and marks share no divisor, so that 360 curves look different."""
WIDTH, HEIGHT, ROW = 7.5, 3.9, 0.2
"""In inches, legend included; it gets higher for a legend of more rows."""
NAME, LABEL, TITLE = 40, 90, 78
"""Longest texts, in characters: a name in the legend, the label of an axis; titles go on in the next line."""
ALL_MARKED, MARKS_APART = 12, 0.08
"""A curve of more points has marks at equal distances instead, in shares of the picture's diagonal."""
ROOM = 0.03
"""Beyond both ends of an axis, in shares of it: a curve along the end is seen whole."""
DECADE, MANY_DECADES = 10.0, 300.0
"""Of a logarithmic axis whose values span less than a decade, round numbers are written; of one up to many, 1, 2, 5,
10, 20, 50 and so on; and of a longer one, powers of ten alone."""
LOOK: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#6e7781",
    "axes.labelcolor": "#24292f",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "figure.constrained_layout.w_pad": 0.12,
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "grid.color": "#d8dee4",
    "grid.linewidth": 0.6,
    "legend.borderaxespad": 0.0,
    "legend.borderpad": 0.0,
    "legend.frameon": False,
    "legend.handlelength": 3.4,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "flstore",
    "text.parse_math": False,
    "xtick.color": "#57606a",
    "ytick.color": "#57606a",
}


def draw(picture: Picture) -> str:
    """Return a picture as SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(LOOK), warnings.catch_warnings():
        # The viewer's font has what DejaVu Sans lacks; only the width of such a name is guessed.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure = Figure(figsize=(WIDTH, max(HEIGHT, ROW * len(picture.curves) + 1)), layout="constrained")
        axes = figure.subplots()
        _curves(axes, picture)
        _scale(axes, "x", picture.across)
        _scale(axes, "y", picture.upwards)
        _words(figure, axes, picture)
        return _svg(figure, picture.title)


def _curves(axes: "Axes", picture: Picture) -> None:
    styles = zip(cycle(COLOURS), cycle(MARKS), cycle(DASHES), strict=False)
    for curve, (colour, mark, dashes) in zip(picture.curves.values(), styles, strict=False):
        line: Any = dashes if picture.joined else "none"
        across, upwards = ([point[way] for point in curve] for way in (0, 1))
        axes.plot(across, upwards, color=colour, marker=mark, linestyle=line, markevery=_every(curve))


def _every(curve: Curve) -> float | None:
    return MARKS_APART if len(curve) > ALL_MARKED else None


def _scale(axes: "Axes", way: Literal["x", "y"], axis: Axis) -> None:
    """Set what one axis says, and where it begins and ends."""
    drawn: DrawnAxis = getattr(axes, f"{way}axis")
    low, high = axis.low, axis.high
    if axis.logarithmic and drawn.get_minpos() < float("inf"):
        axes.set(**{f"{way}scale": "log"})
    if low is not None and high is not None:
        room = ROOM * (high - low)
        low, high = low - room, high + room
    axes.set(**{f"{way}lim": (low, high), f"{way}label": textwrap.shorten(legible(axis.label), LABEL)})
    _ticks(drawn, axis)


def _ticks(drawn: "DrawnAxis", axis: Axis) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if axis.names:
        names = fitting(axis.names)
        drawn.set_ticks(range(len(axis.names)), [names[name] for name in axis.names])
        drawn.set_inverted(True)
        return
    span = drawn.get_data_interval()[1] / drawn.get_minpos() if drawn.get_scale() == "log" else 0.0
    if axis.ticks:
        drawn.set_major_locator(FixedLocator(list(axis.ticks)))
    elif span > DECADE:
        drawn.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if span < MANY_DECADES else (1.0,)))
    else:
        drawn.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=axis.whole))
    drawn.set_minor_formatter(NullFormatter())
    drawn.set_major_formatter(FuncFormatter(_percent if axis.percent else _number))


def _number(value: float, _: int | None = None) -> str:
    """Return a number as people write it: 10,000 and 0.00001."""
    return f"{value:,.12f}".rstrip("0").rstrip(".")


def _percent(value: float, _: int | None = None) -> str:
    return f"{_number(100 * value)} %"


def _words(figure: "Figure", axes: "Axes", picture: Picture) -> None:
    title = textwrap.fill(legible(picture.title), TITLE)
    figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize="large", fontweight="bold")
    names = fitting(picture.curves, NAME)
    beside = (1.02, 1.0)
    axes.legend(axes.lines, [names[name] for name in picture.curves], loc="upper left", bbox_to_anchor=beside)


def _svg(figure: "Figure", title: str) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Title": legible(title), "Date": None, "Creator": None})
    return written.getvalue()
