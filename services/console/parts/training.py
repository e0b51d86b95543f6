"""How a training goes, out of what `AsyncFLStore.metrics` returns: which metrics come first, and how far they are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Series = Mapping[str, Sequence[float | None]]
_FIRST = ("accuracy", "acc", "loss")
"""What people look at first; a metric counts by how its name ends or begins, such as `val_accuracy`."""


def worth(name: str) -> tuple[int, int, str]:
    """Return a key by which metrics are sorted, those that people look at first before others."""
    words = name.lower().replace("-", "_").split("_")
    places = [place for place, word in enumerate(_FIRST) if word in words]
    return (min(places, default=len(_FIRST)), len(words), name)


def headlines(overview: Mapping[str, Any], most: int = 2) -> dict[str, Sequence[float | None]]:
    """Return the one or two metrics that say how a training goes: those of its rounds, or else its clients' medians."""
    medians = {name: spread["p50"] for name, spread in overview["metrics"].items()}
    known = {**medians, **overview["round_metrics"]}
    chosen: dict[str, Sequence[float | None]] = {}
    for name in sorted(known, key=worth):
        kind = worth(name)[0]
        if kind < len(_FIRST) and all(worth(other)[0] != kind for other in chosen) and any_number(known[name]):
            chosen[name] = known[name]
    return dict(list(chosen.items())[:most])


def newest(values: Sequence[float | None]) -> float | None:
    """Return the last number of a series; None if it has none."""
    return next((value for value in reversed(values) if value is not None), None)


def any_number(values: Iterable[float | None]) -> bool:
    return any(value is not None for value in values)
