"""The next round's clients from one tier of speed, spread over groups of alike clients: TiFL with clusters.

Tiers of like speed, of which those that learn worst are drawn most, are Chai et al. 2020, TiFL (HPDC, algorithm 2);
within a tier, one client after another from each group of alike updates is Fraboni et al. 2021, Clustered Sampling
(ICML).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import NotEnoughData
from flstore_core.ids import MAX_ROUND
from flstore_core.workloads import Context, Needs, Params, Partial, Pattern, Result, RoundData, RoundIndex, newest
from flstore_core.workloads.methods.geometry import Float64, cosines
from flstore_core.workloads.methods.rank_correlation import ranks
from flstore_core.workloads.shared.grouping import ClusteringParams, group_by_updates
from flstore_core.workloads.shared.metric_rows import rows_of


@dataclass(frozen=True)
class ScheduleClustersParams(Params):
    """How many clients are chosen, from what history, and how they are grouped."""

    count: Annotated[int, Ge(1), Le(10_000)] = 10
    """Clients wanted for the next round."""
    last: Annotated[int, Ge(0), Le(MAX_ROUND)] | None = None
    """Last round looked at; the newest by default."""
    history: Annotated[int, Ge(1), Le(1000)] = 10
    """Committed rounds looked at; who took part in none of them cannot be chosen."""
    tiers: Annotated[int, Ge(1), Le(100)] = 5
    """Tiers of speed, of the same number of clients each; fewer where there are fewer clients."""
    duration: str = "duration_s"
    """The metric that tells how long a client took, in seconds. Who never told is put in the slowest tier."""
    accuracy: str = "accuracy"
    """The metric that tells how well a client fares: tiers that fare worse are drawn more. All are drawn alike where no
    client reported it."""
    clusters: Annotated[int, Ge(1), Le(256)] | None = None
    """Number of groups of alike clients; the one with the greatest silhouette by default."""
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    """Seed of the draws; the same seed gives the same answer."""


@dataclass(frozen=True)
class Tier(Result):
    """Clients of like speed."""

    clients: list[str]
    """Who is in it, the fastest first."""
    mean_duration_s: float | None
    """Mean of its clients' mean durations; null where nobody told one."""
    accuracy: float | None
    """Mean of its clients' newest accuracies; null where nobody told one."""
    probability: float
    """Chance to be drawn."""


@dataclass(frozen=True)
class ScheduleClustersResult(Result):
    """Who should take part in the next round."""

    rounds: list[int]
    """The rounds looked at."""
    chosen: list[str]
    """The clients; fewer than asked for where there are no more."""
    tier: int
    """The tier drawn, by its place in `tiers`. Where it is too small, the tiers nearest in speed fill up."""
    tiers: list[Tier]
    """All tiers, the fastest first."""
    clusters: list[list[str]]
    """Groups of clients with alike updates, in the order of their first members."""


class ScheduleClusters:
    """Next round's clients: of one tier of speed, and as unlike each other as that tier allows."""

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
            raise NotEnoughData(f"no round up to {params.last} is committed; the first is {index.committed[0]}")
        return until[-params.history :]

    def combine(
        self, partials: Sequence[Partial], context: Context, params: ScheduleClustersParams
    ) -> ScheduleClustersResult:
        clients = sorted({str(member.client) for data in context.rounds for member in data.record.members})
        if not clients:
            raise NotEnoughData("nobody took part in these rounds")
        tiers = _tiers(clients, context.rounds, params)
        labels = _labels(clients, context.rounds, params)
        rng = np.random.default_rng(params.seed)
        tier = int(rng.choice(len(tiers), p=[each.probability for each in tiers]))
        return ScheduleClustersResult(
            rounds=[data.record.number for data in context.rounds],
            chosen=_choose(tiers, tier, labels, params.count, rng),
            tier=tier,
            tiers=tiers,
            clusters=[
                [client for client in clients if labels[client] == label] for label in range(max(labels.values()) + 1)
            ],
        )


def mean_cosines(rounds: Sequence[RoundData], clients: Sequence[str]) -> Float64:
    """Return clients' mean cosine similarity over the rounds that both were in, shape (n, n).

    Pairs that never met are given the mean of all pairs that did: neither alike nor unlike.
    """
    place = {client: row for row, client in enumerate(clients)}
    total, times = np.zeros((2, len(clients), len(clients)))
    for data in rounds:
        deltas = data.deltas()
        rows = np.ix_(*[[place[str(member)] for member in deltas.members]] * 2)
        total[rows] += cosines(deltas.gram)
        times[rows] += 1
    apart = ~np.eye(len(clients), dtype=bool)
    met = (times > 0) & apart
    neutral = total[met].sum() / times[met].sum() if met.any() else 0.0
    similar = np.where(times > 0, total / np.maximum(times, 1), neutral)
    np.fill_diagonal(similar, 1.0)
    return np.asarray(similar)


def tier_probabilities(accuracies: Sequence[float | None]) -> Float64:
    """Return the chance of each of n tiers: (n - rank) / (n (n - 1) / 2) by accuracy, the worst of rank 1, equal ones
    sharing; the same for all where an accuracy is missing.
    """
    count = len(accuracies)
    known = np.array([value for value in accuracies if value is not None])
    if len(known) < count or count == 1:
        return np.full(count, 1 / count)
    return np.asarray((count - ranks(known)) / (count * (count - 1) / 2))


def _tiers(clients: Sequence[str], rounds: Sequence[RoundData], params: ScheduleClustersParams) -> list[Tier]:
    durations: dict[str, list[float]] = {}
    accuracy: dict[str, float] = {}
    for row in rows_of(data.record for data in rounds if data.record.members):
        if (took := row.number(params.duration)) is not None:
            durations.setdefault(row.client, []).append(took)
        if (value := row.number(params.accuracy)) is not None:
            accuracy[row.client] = value
    means = {client: float(np.mean(taken)) for client, taken in durations.items()}
    ranked = sorted(clients, key=lambda client: (means.get(client, np.inf), client))
    parts = [part.tolist() for part in np.array_split(np.array(ranked), min(params.tiers, len(ranked)))]
    accuracies = [_mean(accuracy, part) for part in parts]
    chances = tier_probabilities(accuracies).tolist()
    return [
        Tier(part, _mean(means, part), value, chance)
        for part, value, chance in zip(parts, accuracies, chances, strict=True)
    ]


def _mean(values: Mapping[str, float], clients: Sequence[str]) -> float | None:
    found = [values[client] for client in clients if client in values]
    return float(np.mean(found)) if found else None


def _labels(clients: Sequence[str], rounds: Sequence[RoundData], params: ScheduleClustersParams) -> dict[str, int]:
    wanted = None if params.clusters is None else min(params.clusters, len(clients))
    asked = ClusteringParams(method="agglomerative", clusters=wanted)
    partition, _ = group_by_updates(mean_cosines(rounds, clients), asked)
    return dict(zip(clients, partition.labels.tolist(), strict=True))


def _choose(
    tiers: Sequence[Tier], tier: int, labels: Mapping[str, int], count: int, rng: np.random.Generator
) -> list[str]:
    """Return `count` clients from the tier and then those nearest to it, from one group after the other."""
    chosen: list[str] = []
    for near in sorted(range(len(tiers)), key=lambda place: (abs(place - tier), place)):
        shuffled = rng.permutation(tiers[near].clients).tolist()
        chosen += _by_turns(shuffled, labels, [labels[client] for client in chosen])[: count - len(chosen)]
    return chosen


def _by_turns(clients: Sequence[str], labels: Mapping[str, int], taken: Sequence[int]) -> list[str]:
    """Return clients so that each next one is of the group that has been taken least."""
    times = {label: taken.count(label) for label in labels.values()}
    turn = {}
    for client in clients:
        turn[client] = times[labels[client]]
        times[labels[client]] += 1
    return sorted(clients, key=lambda client: turn[client])
