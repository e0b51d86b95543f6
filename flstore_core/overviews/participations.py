"""Who took part when: a map with a row for each client and a column for a few rounds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flstore_core.ids import ClientId, decode
from flstore_core.overviews.numbers import RoundNumbers, as_names, listed


def participation(
    rounds: Sequence[RoundNumbers], clients: Sequence[ClientId], columns: int, metric: str | None = None
) -> dict[str, Any]:
    """Return in how many rounds of each column each client took part, and what it sent on average.

    Example, of three rounds in two columns, of which `b` missed the last::

        rounds [0, 2]   per_column 2   counts [[2, 1], [2, 0]]   values [[0.3, 0.1], [0.4, None]]

    Args:
        rounds: ascending.
        clients: the rows.
        columns: most columns.
        metric: what `values` are means of; None for no `values`.
    """
    step = max(1, -(-len(rounds) // columns))
    names, shape = as_names(clients), (len(clients), -(-len(rounds) // step))
    counts, sums, sent = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape, np.int64)
    for place, each in enumerate(rounds):
        rows, where = each.find(names)
        counts[rows, place // step] += 1
        if metric is not None and metric in each.values:
            values = each.values[metric][where]
            present = np.isfinite(values)
            sums[rows[present], place // step] += values[present]
            sent[rows[present], place // step] += 1
    means = np.divide(sums, sent, out=np.full(shape, np.nan), where=sent > 0)
    return {
        "clients": [decode(client) for client in clients],
        "rounds": [each.number for each in rounds[::step]],
        "per_column": step,
        "participations": counts.sum(axis=1).tolist(),
        "counts": counts.tolist(),
        "metric": metric,
        "values": None if metric is None else [listed(row) for row in means],
    }
