"""One client round by round, beside the middle half of the clients that took part with it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flstore_core.ids import ClientId, decode
from flstore_core.overviews.numbers import SPREAD, RoundNumbers, as_names, listed, names_of

BESIDE = ("p25", "p50", "p75")
"""Quantiles over all clients of a round that stand beside the client's own value."""


def series(rounds: Sequence[RoundNumbers], client: ClientId) -> dict[str, Any]:
    """Return what a client sent in those of the rounds in which it took part.

    Args:
        rounds: ascending.
    """
    name = as_names([client])
    places = {each.number: where for each in rounds for _, where in [each.find(name)] if len(where)}
    joined = [each for each in rounds if each.number in places]
    nothing = np.full(len(SPREAD), np.nan)

    def of(metric: str) -> dict[str, list[Any]]:
        own = [each.values[metric][places[each.number]][0] if metric in each.values else np.nan for each in joined]
        table = np.array([each.spreads.get(metric, nothing) for each in joined]).reshape(-1, len(SPREAD))
        return {"value": listed(np.array(own)), **{part: listed(table[:, SPREAD.index(part)]) for part in BESIDE}}

    return {
        "client": decode(client),
        "rounds": [each.number for each in joined],
        "committed_at": [each.committed_at for each in joined],
        "clients": [len(each.clients) for each in joined],
        "metrics": {metric: of(metric) for metric in names_of(joined)},
    }
