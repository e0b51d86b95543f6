"""A client's reputation from its past rounds: the beta distribution with forgetting.

Jøsang and Ismail 2002, The Beta Reputation System; in FL as Kang et al. 2019 (IEEE IoT Journal 6:6), who weigh
negative interactions and recent ones more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Gt, Le

from flstore_core.workloads import (
    ClientParams,
    Context,
    Needs,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    client_history,
)
from flstore_core.workloads.methods.evidence import LEAST_UPDATES, Thresholds, gather_alone
from flstore_core.workloads.methods.geometry import stacked_alignments

Evidence = Literal["alignment", "filter"]


@dataclass(frozen=True)
class ReputationParams(ClientParams):
    """What counts for a client, and for how long."""

    evidence: Evidence = "alignment"
    """`alignment` counts a round as good as the client's update was aligned with the others' direction; `filter` counts
    it good or bad by the malicious-filter's verdict."""
    forgetting: Annotated[float, Gt(0), Le(1)] = 0.9
    """Weight of a participation relative to the one after it; 1 forgets nothing."""
    negative_weight: Annotated[float, Gt(0), Le(1000)] = 1.0
    """How much more a bad round weighs than a good one."""


@dataclass(frozen=True)
class Participation(Result):
    """One past round of the client."""

    round: int
    """The round."""
    good: float
    """Evidence for the client, 0 to 1; what is missing to 1 speaks against it."""
    alignment: float
    """Cosine similarity of its update with the robust direction of the others'."""
    weight: float
    """What is left of the evidence after forgetting."""


@dataclass(frozen=True)
class ReputationResult(Result):
    """How far a client can be trusted."""

    client: str
    """The client."""
    reputation: float
    """Expected share of good behaviour, 0 to 1: (positive + 1) / (positive + negative + 2)."""
    uncertainty: float
    """Weight of what is not known, 0 to 1: 2 / (positive + negative + 2)."""
    positive: float
    """Remembered evidence for the client."""
    negative: float
    """Remembered evidence against it, weighted."""
    history: list[Participation]
    """The rounds that count, oldest first."""
    skipped: list[int]
    """Rounds with too few updates to judge anybody by."""


class Reputation:
    """How far a client can be trusted, from how its past updates went along with the others'."""

    name = "reputation"
    pattern = Pattern.P3
    needs = Needs.STATISTICS
    source = "Kang et al. 2019, Incentive Mechanism for Reliable Federated Learning, IEEE IoT Journal 6(6)"
    params = ReputationParams
    result = ReputationResult

    def select(self, params: ReputationParams, index: RoundIndex) -> Sequence[int]:
        return client_history(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: ReputationParams) -> ReputationResult:
        least = LEAST_UPDATES if params.evidence == "filter" else 2
        judged = [data for data in context.rounds if len(data.record.members) >= least]
        ages = range(len(judged) - 1, -1, -1)
        history = [
            Participation(data.record.number, good, alignment, params.forgetting**age)
            for age, data, (good, alignment) in zip(ages, judged, _evidence(judged, params), strict=True)
        ]
        positive = sum(past.weight * past.good for past in history)
        negative = params.negative_weight * sum(past.weight * (1 - past.good) for past in history)
        return ReputationResult(
            client=params.client,
            reputation=(positive + 1) / (positive + negative + 2),
            uncertainty=2 / (positive + negative + 2),
            positive=positive,
            negative=negative,
            history=history,
            skipped=[data.record.number for data in context.rounds if data not in judged],
        )


def _evidence(rounds: Sequence[RoundData], params: ReputationParams) -> list[tuple[float, float]]:
    """Return the evidence for the client in each round, 0 to 1, and its alignment."""
    everyone = [data.deltas() for data in rounds]
    rows = [[str(member) for member in deltas.members].index(params.client) for deltas in everyone]
    aligned = stacked_alignments([deltas.gram for deltas in everyone])
    own = [float(found[row]) for found, row in zip(aligned, rows, strict=True)]
    if params.evidence == "alignment":
        return [((1 + alignment) / 2, alignment) for alignment in own]
    limits = Thresholds()
    accused = [gather_alone(deltas.gram).reasons(row, limits) for row, deltas in zip(rows, everyone, strict=True)]
    return [(float(not guilty), alignment) for guilty, alignment in zip(accused, own, strict=True)]


BetaReputation = Reputation  # the name in older installations; removed with them
