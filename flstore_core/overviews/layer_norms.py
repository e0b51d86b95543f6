"""How long each client's delta is in each tensor of the model: where in the model clients differ."""

from typing import Any

import numpy as np

from flstore_core.ids import decode
from flstore_core.schema import Schema
from flstore_core.statistics import RoundStatistics


def layers(statistics: RoundStatistics, schema: Schema, most: int) -> dict[str, Any]:
    """Return the Euclidean length of each client's delta by tensor, in the order of the model.

    Example, of two clients and the larger two of three tensors::

        clients ["a", "b"]   tensors ["conv", "head"]   norms [[2.0, 0.5], [9.0, 0.5]]   left_out 1

    Args:
        most: most tensors; of more, those in which the deltas of all clients are the longest.
    """
    clients = statistics.clients
    squares = statistics.take(clients).squares
    names = np.array([segment.name for segment in schema.segments], dtype=object)
    kept = np.sort(np.argsort(-squares.sum(axis=0), kind="stable")[:most])
    return {
        "clients": [decode(client) for client in clients],
        "tensors": names[kept].tolist(),
        "norms": np.sqrt(squares[:, kept]).tolist(),
        "left_out": len(names) - len(kept),
    }
