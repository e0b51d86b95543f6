"""Slow clients, by Tukey's fence on their median durations, and what a deadline would save and cost.

A client is slow if its median duration lies more than `fence` interquartile ranges above the third quartile of all
clients' medians (Tukey 1977). For medians 10, 11, 12, 13 and 40 the quartiles are 11 and 13, so the fence of 1.5 stands
at 13 + 1.5 × 2 = 16, and only the last client is slow. A deadline on updates is Nishio and Yonetani 2019, FedCS (ICC);
the advised one is the least that would have let the share `keep` of all updates through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from flstore_core.errors import unknown
from flstore_core.workloads import Context, Needs, Partial, Pattern, RangeParams, Result, RoundIndex, round_range
from flstore_core.workloads.shared.metric_rows import Row, check_magnitudes, metric_names, rows_of


@dataclass(frozen=True)
class StragglersParams(RangeParams):
    """Which metric is the duration, and what counts as slow."""

    metric: str = "duration_s"
    """Name of the metric with a client's duration in a round, in seconds. A metric in another unit can be named; the
    durations in the answer are then in that unit. A negative value counts as not reported."""
    fence: Annotated[float, Gt(0), Le(100)] = 1.5
    """A client is slow if its median duration is more than this many interquartile ranges above the third quartile of
    all clients' medians."""
    keep: Annotated[float, Gt(0), Le(1)] = 0.9
    """Share of all updates that the advised deadline must let through."""


@dataclass(frozen=True)
class ClientDurations(Result):
    """The durations of one client."""

    client: str
    """Name of the client."""
    slow: bool
    """Whether its median duration is above the fence."""
    participations: int
    """Number of rounds in which it reported a duration."""
    median: float
    """Its median duration, in seconds."""
    worst: float
    """Its longest duration, in seconds."""
    late: float
    """Share of its updates that would have missed the advised deadline, 0 to 1."""


@dataclass(frozen=True)
class Deadline(Result):
    """A deadline, and what it would have meant for the rounds that were read."""

    deadline: float
    """Least duration, in seconds, that lets the share `keep` of all updates through."""
    lost: float
    """Share of updates that would have missed the deadline, 0 to 1."""
    saved: float
    """Share of the rounds' total waiting time that the deadline would have saved, 0 to 1; a round waits for its slowest
    client."""


@dataclass(frozen=True)
class StragglersResult(Result):
    """Slow clients, and the effect of a deadline."""

    rounds: list[int]
    """The rounds that were read."""
    slow: list[str]
    """Names of the slow clients, the slowest first."""
    clients: list[ClientDurations]
    """All clients that reported a duration, the slowest first."""
    advice: Deadline
    """The advised deadline."""


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
        reports = _reports(rows_of(data.record for data in context.rounds), params.metric)
        by_client: dict[str, list[float]] = {}
        by_round: dict[int, list[float]] = {}
        for row, duration in reports:
            by_client.setdefault(row.client, []).append(duration)
            by_round.setdefault(row.round, []).append(duration)
        advice = _advise(by_round, params.keep)
        clients = _judge(by_client, params.fence, advice.deadline)
        return StragglersResult(
            rounds=[data.record.number for data in context.rounds],
            slow=[client.client for client in clients if client.slow],
            clients=clients,
            advice=advice,
        )


def _reports(rows: Sequence[Row], metric: str) -> list[tuple[Row, float]]:
    """Return the participations with a duration, and the duration.

    Raises:
        NotFound: if no client reported the metric as a number that is not negative.
        InvalidParameters: if durations are too large to compute with.
    """
    reports = [(row, duration) for row in rows if (duration := row.number(metric)) is not None and duration >= 0]
    if not reports:
        raise unknown("numeric metric", metric, metric_names(rows))
    check_magnitudes(metric, (duration for _, duration in reports))
    return reports


def _judge(durations: Mapping[str, Sequence[float]], fence: float, deadline: float) -> list[ClientDurations]:
    """Return each client's durations, the slowest client first."""
    medians = {client: float(np.median(values)) for client, values in durations.items()}
    first_quartile, third_quartile = np.quantile(list(medians.values()), [0.25, 0.75])
    limit = float(third_quartile + fence * (third_quartile - first_quartile))
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
    """Return the deadline that lets the share `keep` of all updates through, from the durations by round."""
    durations = np.concatenate([np.asarray(values) for values in rounds.values()])
    deadline = float(np.quantile(durations, keep, method="inverted_cdf"))
    waited = sum(max(values) for values in rounds.values())
    waited_at_most = sum(min(max(values), deadline) for values in rounds.values())
    saved = 1 - waited_at_most / waited if waited > 0 else 0.0
    return Deadline(deadline, float(np.mean(durations > deadline)), saved)
