"""Slow clients by the quantiles of their durations, and what a deadline would save and cost.

Deadlines for client selection are Nishio and Yonetani 2019, FedCS (ICC); the outlier rule is Tukey 1977.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from flstore_core.errors import unknown
from flstore_core.workloads import Context, Needs, Partial, Pattern, RangeParams, Result, RoundIndex, round_range
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.metric_rows import metric_names, rows_of


@dataclass(frozen=True)
class StragglersParams(RangeParams):
    """What counts as slow."""

    metric: str = "duration_s"
    """The metric that tells how long a client took, in seconds; another name may mean any one unit."""
    fence: Annotated[float, Gt(0), Le(100)] = 1.5
    """A client is slow whose median lies this many interquartile ranges above the third quartile of all medians."""
    keep: Annotated[float, Gt(0), Le(1)] = 0.9
    """Share of all updates that the advised deadline lets through."""


@dataclass(frozen=True)
class ClientDurations(Result):
    """How long one client takes."""

    client: str
    """The client."""
    slow: bool
    """Whether it lies above the fence."""
    participations: int
    """Rounds for which it reported a duration."""
    median: float
    """Its median duration."""
    worst: float
    """Its longest duration."""
    late: float
    """Share of its updates that the advised deadline would have lost."""


@dataclass(frozen=True)
class Deadline(Result):
    """What waiting no longer than that would have meant."""

    deadline: float
    """The least duration that lets the wanted share of updates through."""
    lost: float
    """Share of updates that would have come late."""
    saved: float
    """Share of the rounds' total waiting time that would have been saved; a round waits for its slowest client."""


@dataclass(frozen=True)
class StragglersResult(Result):
    """Who is slow, and what a deadline would do."""

    rounds: list[int]
    """The rounds looked at."""
    slow: list[str]
    """The slow clients, the slowest first."""
    clients: list[ClientDurations]
    """All clients that reported a duration, the slowest first."""
    advice: Deadline
    """The deadline advised."""


class Stragglers:
    """Which clients are slow, and what a deadline would save and cost."""

    name = "stragglers"
    pattern = Pattern.P4
    needs = Needs.METADATA
    source = "Nishio and Yonetani 2019, Client Selection for Federated Learning (FedCS), ICC; Tukey 1977"
    params = StragglersParams
    result = StragglersResult

    def select(self, params: StragglersParams, index: RoundIndex) -> Sequence[int]:
        return round_range(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: StragglersParams) -> StragglersResult:
        table = rows_of(data.record for data in context.rounds)
        by_client: dict[str, list[float]] = {}
        by_round: dict[int, list[float]] = {}
        for row in table:
            if (duration := row.number(params.metric)) is not None:
                by_client.setdefault(row.client, []).append(duration)
                by_round.setdefault(row.round, []).append(duration)
        if not by_client:
            raise unknown("numeric metric", params.metric, metric_names(table))
        advice = _advise(by_round, params.keep)
        clients = _judge(by_client, params.fence, advice.deadline)
        return StragglersResult(
            rounds=[data.record.number for data in context.rounds],
            slow=[client.client for client in clients if client.slow],
            clients=clients,
            advice=advice,
        )


def _judge(durations: Mapping[str, Sequence[float]], fence: float, deadline: float) -> list[ClientDurations]:
    medians = {client: float(np.median(values)) for client, values in durations.items()}
    low, high = np.quantile(list(medians.values()), [0.25, 0.75])
    limit = float(high + fence * (high - low))
    return [
        ClientDurations(
            client=client,
            slow=medians[client] > limit,
            participations=len(durations[client]),
            median=medians[client],
            worst=max(durations[client]),
            late=float(np.mean(np.array(durations[client]) > deadline)),
        )
        for client in sorted(medians, key=lambda name: (-medians[name], name))
    ]


def _advise(rounds: Mapping[int, Sequence[float]], keep: float) -> Deadline:
    everything: Float64 = np.concatenate([np.asarray(values) for values in rounds.values()])
    deadline = float(np.quantile(everything, keep, method="inverted_cdf"))
    waited = sum(max(values) for values in rounds.values())
    cut = sum(min(max(values), deadline) for values in rounds.values())
    saved = 1 - cut / waited if waited > 0 else 0.0
    return Deadline(deadline, float(np.mean(everything > deadline)), saved)


FindStragglers = Stragglers  # the name in older installations; removed with them
