"""How the clients' metrics spread, round by round: a line with its bands, of at most as many points as are wanted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.overviews.numbers import SPREAD, Float64, RoundNumbers, listed, names_of

Places = NDArray[np.intp]


def spreads(rounds: Sequence[RoundNumbers], points: int) -> dict[str, Any]:
    """Return the spread of each metric over the clients, by round.

    Where there are more rounds than `points`, a point stands for `per_point` rounds: `low` and `high` are their
    extremes, and the other quantiles and the mean are averages, weighted by how many clients sent the metric.

    Args:
        rounds: ascending.
    """
    step = max(1, -(-len(rounds) // points))
    starts = np.arange(0, len(rounds), step)
    clients = np.array([len(each.clients) for each in rounds], dtype=float)
    return {
        "rounds": [each.number for each in rounds[::step]],
        "per_point": step,
        "committed_at": [each.committed_at for each in rounds[::step]],
        "clients": listed(_mean(clients, np.ones(len(rounds)), starts)),
        "metrics": {name: _metric(rounds, name, starts) for name in names_of(rounds)},
        "round_metrics": {
            name: _of_rounds(rounds, name, starts) for name in sorted({n for r in rounds for n in r.metrics})
        },
    }


def _metric(rounds: Sequence[RoundNumbers], name: str, starts: Places) -> dict[str, list[Any]]:
    nothing = np.array([np.nan] * (len(SPREAD) - 1) + [0.0])
    table = np.array([each.spreads.get(name, nothing) for each in rounds])
    by_name = dict(zip(SPREAD, table.T, strict=True))
    count = by_name["count"]
    merged = {part: _mean(values, count, starts) for part, values in by_name.items()}
    merged["low"] = _extreme(np.fmin, by_name["low"], starts)
    merged["high"] = _extreme(np.fmax, by_name["high"], starts)
    merged["count"] = np.add.reduceat(count, starts)
    return {part: listed(values) for part, values in merged.items()}


def _of_rounds(rounds: Sequence[RoundNumbers], name: str, starts: Places) -> list[Any]:
    values = np.array([each.metrics.get(name, np.nan) for each in rounds])
    return listed(_mean(values, np.isfinite(values).astype(float), starts))


def _mean(values: Float64, weights: Float64, starts: Places) -> Float64:
    """Return the weighted mean of each group of rounds; NaN where nothing has a weight."""
    if not len(starts):
        return np.zeros(0)
    total = np.add.reduceat(weights, starts)
    weighted = np.add.reduceat(np.where(weights > 0, np.nan_to_num(values), 0.0) * weights, starts)
    means: Float64 = np.full(len(starts), np.nan)
    np.divide(weighted, total, out=means, where=total > 0)
    return means


def _extreme(choose: np.ufunc, values: Float64, starts: Places) -> Float64:
    extremes: Float64 = choose.reduceat(values, starts)  # `fmin` and `fmax` pass NaN over
    return extremes
