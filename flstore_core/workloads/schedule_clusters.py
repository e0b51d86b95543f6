"""The next round's clients: of similar speed, so that none waits for another, and with dissimilar updates.

1. Clients are sorted by mean duration and cut into tiers of equal size. One tier is drawn; a tier whose clients have a
   lower accuracy is drawn with a higher probability (Chai et al. 2020, TiFL, HPDC, algorithm 2). For three tiers with
   accuracies 0.9, 0.5 and 0.7 the probabilities are 0, 2/3 and 1/3.
2. Clients are grouped by the mean cosine similarity of their updates. From the drawn tier, one client after another is
   taken from the group that has been taken from least (Fraboni et al. 2021, Clustered Sampling, ICML). If the tier has
   too few clients, the tiers next to it in speed complete the choice.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import NotEnoughData
from flstore_core.ids import MAX_ROUND
from flstore_core.workloads import Context, Needs, Params, Partial, Pattern, Result, RoundData, RoundIndex, newest
from flstore_core.workloads.methods.geometry import Float64, cosines
from flstore_core.workloads.methods.rank_correlation import ranks
from flstore_core.workloads.shared.grouping import ClusteringParams, group_by_updates
from flstore_core.workloads.shared.metric_rows import Row, check_magnitudes, rows_of


@dataclass(frozen=True)
class ScheduleClustersParams(Params):
    """How many clients are chosen, from which history, and how they are grouped."""

    count: Annotated[int, Ge(1), Le(10_000)] = 10
    """Number of clients to choose for the next round."""
    last: Annotated[int, Ge(0), Le(MAX_ROUND)] | None = None
    """Newest round to read; the newest committed one by default."""
    history: Annotated[int, Ge(1), Le(1000)] = 10
    """Number of committed rounds to read. Only clients that took part in one of them can be chosen."""
    tiers: Annotated[int, Ge(1), Le(100)] = 5
    """Number of tiers of speed, with equally many clients each; fewer if there are fewer clients."""
    duration: str = "duration_s"
    """Name of the metric with a client's duration in a round, in seconds. Clients that never reported it come last."""
    accuracy: str = "accuracy"
    """Name of the metric with a client's accuracy, of which the newest value counts. All tiers have the same
    probability if no client of some tier reported it."""
    clusters: Annotated[int, Ge(1), Le(256)] | None = None
    """Number of groups of clients with similar updates; the number with the greatest mean silhouette by default."""
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    """Seed of the random draws; the same seed gives the same answer."""


@dataclass(frozen=True)
class Tier(Result):
    """Clients of similar speed."""

    clients: list[str]
    """Its clients, the fastest first."""
    mean_duration_s: float | None
    """Mean of its clients' mean durations, in seconds; null if none reported one."""
    accuracy: float | None
    """Mean of its clients' newest accuracies; null if none reported one."""
    probability: float
    """Probability with which the tier is drawn."""


@dataclass(frozen=True)
class ScheduleClustersResult(Result):
    """The clients that should take part in the next round."""

    rounds: list[int]
    """The rounds that were read."""
    chosen: list[str]
    """The chosen clients; fewer than `count` if there are no more."""
    tier: int
    """Index in `tiers` of the drawn tier. If it has too few clients, the tiers nearest in speed complete the choice."""
    tiers: list[Tier]
    """All tiers, the fastest first."""
    clusters: list[list[str]]
    """Groups of clients with similar updates, in the order of their first members."""


class ScheduleClusters:
    """The next round's clients: of similar speed, and with updates as dissimilar as that allows."""

    name = "schedule-clusters"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = "Chai et al. 2020, TiFL, HPDC, arXiv:2001.09249; Fraboni et al. 2021, Clustered Sampling, ICML"
    params = ScheduleClustersParams
    result = ScheduleClustersResult

    def select(self, params: ScheduleClustersParams, index: RoundIndex) -> Sequence[int]:
        newest(index)
        until = [number for number in index.committed if params.last is None or number <= params.last]
        if not until:
            raise NotEnoughData(
                f"no round up to last ({params.last}) is committed; the first committed one is {index.committed[0]}"
            )
        return until[-params.history :]

    def combine(
        self, partials: Sequence[Partial], context: Context, params: ScheduleClustersParams
    ) -> ScheduleClustersResult:
        clients = sorted({str(member.client) for data in context.rounds for member in data.record.members})
        if not clients:
            raise NotEnoughData("no client took part in these rounds; read more of them with history")
        tiers = _tiers(clients, context.rounds, params)
        labels = _labels(clients, context.rounds, params)
        rng = np.random.default_rng(params.seed)
        drawn = int(rng.choice(len(tiers), p=[tier.probability for tier in tiers]))
        return ScheduleClustersResult(
            rounds=[data.record.number for data in context.rounds],
            chosen=_choose(tiers, drawn, labels, params.count, rng),
            tier=drawn,
            tiers=tiers,
            clusters=[
                [client for client in clients if labels[client] == label] for label in range(max(labels.values()) + 1)
            ],
        )


def mean_cosines(rounds: Sequence[RoundData], clients: Sequence[str]) -> Float64:
    """Return clients' mean cosine similarity over the rounds that both took part in, shape (n, n).

    A pair that shared no round gets the mean over all pairs that did: it counts as neither similar nor dissimilar.
    """
    position = {client: row for row, client in enumerate(clients)}
    total, shared = np.zeros((2, len(clients), len(clients)))
    for data in (data for data in rounds if data.record.members):
        deltas = data.deltas()
        rows = [position[str(member)] for member in deltas.members]
        total[np.ix_(rows, rows)] += cosines(deltas.gram)
        shared[np.ix_(rows, rows)] += 1
    pairs = (shared > 0) & ~np.eye(len(clients), dtype=bool)
    neutral = total[pairs].sum() / shared[pairs].sum() if pairs.any() else 0.0
    similar = np.where(shared > 0, total / np.maximum(shared, 1), neutral)
    np.fill_diagonal(similar, 1.0)
    return np.asarray(similar)


def tier_probabilities(accuracies: Sequence[float | None]) -> Float64:
    """Return the probability of each of n tiers, shape (n,): (n - rank) / (n (n - 1) / 2).

    The tier with the lowest accuracy has rank 1; tiers of equal accuracy share the mean of their ranks. All tiers have
    the same probability if an accuracy is missing.
    """
    count = len(accuracies)
    reported = np.array([value for value in accuracies if value is not None])
    if len(reported) < count or count == 1:
        return np.full(count, 1 / count)
    return np.asarray((count - ranks(reported)) / (count * (count - 1) / 2))


def _tiers(clients: Sequence[str], rounds: Sequence[RoundData], params: ScheduleClustersParams) -> list[Tier]:
    """Return the tiers, the fastest first."""
    rows = rows_of(data.record for data in rounds)
    durations = {client: float(np.mean(values)) for client, values in _reports(rows, params.duration).items()}
    newest = {client: values[-1] for client, values in _reports(rows, params.accuracy).items()}
    fastest_first = sorted(clients, key=lambda client: (durations.get(client, np.inf), client))
    parts = [part.tolist() for part in np.array_split(np.array(fastest_first), min(params.tiers, len(clients)))]
    accuracies = [_mean(newest, part) for part in parts]
    probabilities = tier_probabilities(accuracies).tolist()
    return [
        Tier(part, _mean(durations, part), accuracy, probability)
        for part, accuracy, probability in zip(parts, accuracies, probabilities, strict=True)
    ]


def _reports(rows: Sequence[Row], metric: str) -> dict[str, list[float]]:
    """Return each client's values of a metric, oldest first; raise `InvalidParameters` if they are too large."""
    reports: dict[str, list[float]] = {}
    for row in rows:
        if (value := row.number(metric)) is not None:
            reports.setdefault(row.client, []).append(value)
    check_magnitudes(metric, chain.from_iterable(reports.values()))
    return reports


def _mean(values: Mapping[str, float], clients: Sequence[str]) -> float | None:
    reported = [values[client] for client in clients if client in values]
    return float(np.mean(reported)) if reported else None


def _labels(clients: Sequence[str], rounds: Sequence[RoundData], params: ScheduleClustersParams) -> dict[str, int]:
    """Return each client's group of similar updates."""
    clusters = None if params.clusters is None else min(params.clusters, len(clients))
    by_linkage = ClusteringParams(method="agglomerative", clusters=clusters)
    partition, _ = group_by_updates(mean_cosines(rounds, clients), by_linkage)
    return dict(zip(clients, partition.labels.tolist(), strict=True))


def _choose(
    tiers: Sequence[Tier], drawn: int, labels: Mapping[str, int], count: int, rng: np.random.Generator
) -> list[str]:
    """Return `count` clients: of the drawn tier first, then of the tiers nearest to it; within a tier by turns."""
    chosen: list[str] = []
    for tier in sorted(range(len(tiers)), key=lambda tier: (abs(tier - drawn), tier)):
        shuffled = rng.permutation(tiers[tier].clients).tolist()
        chosen += _by_turns(shuffled, labels, chosen)[: count - len(chosen)]
    return chosen


def _by_turns(clients: Sequence[str], labels: Mapping[str, int], chosen: Sequence[str]) -> list[str]:
    """Return the clients ordered so that the next one is always of the group that has been taken from least.

    A client's turn is how many of its group come before it. With `chosen` of group A, and clients a1, a2, b1 and b2 to
    order, the turns are 1, 2, 0 and 1, which gives b1, a1, b2, a2.
    """
    taken = Counter(labels[client] for client in chosen)
    turns = {}
    for client in clients:
        turns[client] = taken[labels[client]]
        taken[labels[client]] += 1
    return sorted(clients, key=turns.__getitem__)
