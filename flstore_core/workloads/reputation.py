"""How far a client can be trusted, from its past updates: a beta distribution with forgetting.

Each past round is evidence for the client, from 0 to 1, and the rest to 1 is evidence against it. Summed up they are
the parameters of a beta distribution, whose mean is the reputation: (positive + 1) / (positive + negative + 2)
(Jøsang and Ismail 2002, The Beta Reputation System). Older evidence counts less, and negative evidence can count more
(Kang et al. 2019, IEEE IoT Journal 6:6). With nothing forgotten, three good rounds and one bad one make
(3 + 1) / (3 + 1 + 2) = 0.67; a client without history has 0.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Gt, Le

from flstore_core.ids import ClientId
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
from flstore_core.workloads.methods.geometry import Float64, stacked_alignments


@dataclass(frozen=True)
class ReputationParams(ClientParams):
    """Which client is judged, by which evidence, and how it is weighted."""

    evidence: Literal["alignment", "filter"] = "alignment"
    """`alignment`: evidence for the client is (1 + alignment) / 2, by the cosine similarity of its update with the
    others' direction. `filter`: it is 1 unless the workload `malicious-filter`, with its default parameters and that
    round alone, would accuse the client; then it is 0."""
    forgetting: Annotated[float, Gt(0), Le(1)] = 0.9
    """Weight of a participation relative to the one after it; 1 forgets nothing."""
    negative_weight: Annotated[float, Gt(0), Le(1000)] = 1.0
    """Factor on evidence against the client."""


@dataclass(frozen=True)
class Participation(Result):
    """One past round of the client."""

    round: int
    """Number of the round."""
    good: float
    """Evidence for the client, 0 to 1; the rest to 1 is evidence against it."""
    alignment: float
    """Cosine similarity of its delta with the robust direction of the others', -1 to 1."""
    weight: float
    """Weight of this evidence after forgetting, 0 to 1."""


@dataclass(frozen=True)
class ReputationResult(Result):
    """How far a client can be trusted."""

    client: str
    """Name of the client."""
    reputation: float
    """Expected share of good rounds, 0 to 1: (positive + 1) / (positive + negative + 2)."""
    uncertainty: float
    """How little evidence there is, 0 to 1: 2 / (positive + negative + 2); 1 without any."""
    positive: float
    """Weighted sum of the evidence for the client."""
    negative: float
    """Weighted sum of the evidence against the client, times `negative_weight`."""
    history: list[Participation]
    """The rounds that were judged, oldest first."""
    skipped: list[int]
    """Rounds with too few updates to judge by: fewer than 2, or fewer than 4 for the evidence `filter`."""


class Reputation:
    """How far a client can be trusted, from how well its past updates agree with the others'."""

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
        history = _history(judged, params)
        positive = sum(past.weight * past.good for past in history)
        negative = params.negative_weight * sum(past.weight * (1 - past.good) for past in history)
        return ReputationResult(
            client=params.client,
            reputation=(positive + 1) / (positive + negative + 2),
            uncertainty=2 / (positive + negative + 2),
            positive=positive,
            negative=negative,
            history=history,
            skipped=[data.record.number for data in context.rounds if len(data.record.members) < least],
        )


def _history(rounds: Sequence[RoundData], params: ReputationParams) -> list[Participation]:
    """Return the client's evidence in each round, oldest first; the newest has weight 1."""
    grams = [data.deltas().gram for data in rounds]
    rows = [list(data.record.by_client).index(ClientId(params.client)) for data in rounds]
    history = []
    for place, (alignments, row) in enumerate(zip(stacked_alignments(grams), rows, strict=True)):
        alignment = float(alignments[row])
        good = (1 + alignment) / 2 if params.evidence == "alignment" else float(not _is_accused(grams[place], row))
        weight = params.forgetting ** (len(rounds) - 1 - place)
        history.append(Participation(rounds[place].record.number, good, alignment, weight))
    return history


def _is_accused(gram: Float64, row: int) -> bool:
    """Return whether the malicious filter's default method accuses the client of that row, by this round alone."""
    return bool(gather_alone(gram).reasons(row, Thresholds()))
