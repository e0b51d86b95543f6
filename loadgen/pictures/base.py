"""What a picture shows, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

Curve = Sequence[tuple[float, float]]
"""Points, each with its place on the axis across and on the one upwards."""


@dataclass(frozen=True)
class Axis:
    """One direction of a picture."""

    label: str
    """What is measured, and its unit."""
    logarithmic: bool = False
    low: float | None = None
    """Where the axis begins; at the least value, if it is not said. The same for `high`."""
    high: float | None = None
    whole: bool = False
    """Whether only whole numbers make sense."""
    percent: bool = False
    """Whether values are shares of 1, shown in per cent."""
    ticks: tuple[float, ...] = ()
    """What is written along the axis; round numbers, if nothing is said."""
    names: tuple[str, ...] = ()
    """What stands at 0, 1, 2 and so on from the top, where values are no numbers."""

    @classmethod
    def share(cls, label: str) -> Self:
        """Return an axis from nothing to all."""
        return cls(label, low=0.0, high=1.0, percent=True)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        lists = {name: tuple(data[name]) for name in ("ticks", "names")}
        return cls(**{**data, **lists})


LATENCY_AXES = (Axis("latency in ms", logarithmic=True), Axis.share("requests answered within it"))
"""Across and upwards, for curves of latencies."""


@dataclass(frozen=True)
class Picture:
    """Curves over two axes."""

    title: str
    curves: Mapping[str, Curve]
    """By the name that the legend has; drawn in this order."""
    across: Axis
    upwards: Axis
    joined: bool = field(default=True, kw_only=True)
    """Whether the points of a curve are joined by a line."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**{**data, **{way: Axis.from_json(data[way]) for way in ("across", "upwards")}})
