"""The updates of a round, aggregated anew into a model: by FedAvg, or by a rule that withstands malicious updates.

There are two kinds of rules:

- *Weighted sums*: FedAvg (McMahan et al. 2017, AISTATS), the geometric median, Krum, multi-Krum and the clipped mean.
  The weight of each update follows from the round's record or statistics before any model is read, and each shard then
  sums its slice by these weights.
- *Coordinate-wise rules*: the median and the trimmed mean (Yin et al. 2018, ICML) look at each coordinate by itself.
  Bulyan is both: it chooses updates by Krum, then takes the mean around the median of each coordinate.

For one coordinate with the values 1, 2, 3, 4 and 100, FedAvg with equal weights gives 22, the median 3, and the trimmed
mean with `trim` 0.2, which drops one value at each end, also 3. The rules' sources are in `methods`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters, NotEnoughData
from flstore_core.flat import FlatView
from flstore_core.records import Member
from flstore_core.workloads import (
    ArtifactLink,
    Context,
    Needs,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    RoundParams,
    SliceMember,
    SliceView,
    Weighted,
    fedavg_weights,
    one_round,
    unweighted,
)
from flstore_core.workloads.methods.bulyan import MeanAroundMedian, bulyan_choice
from flstore_core.workloads.methods.coordinatewise import (
    Combiner,
    MeanOfRanks,
    WeightedSum,
    combine_rows,
    coordinate_median,
)
from flstore_core.workloads.methods.differential_privacy import NoisySum, clipping_weights, gaussian_epsilon
from flstore_core.workloads.methods.geometric_median import geometric_median
from flstore_core.workloads.methods.geometry import Float64, norms
from flstore_core.workloads.methods.krum import krum_choice
from flstore_core.workloads.shared.origin import origin_of

Method = Literal["fedavg", "median", "trimmed-mean", "geometric-median", "krum", "multi-krum", "bulyan", "clipped-mean"]
UNWEIGHTED = ("median", "trimmed-mean")
_WEIGHTED = ("fedavg", "geometric-median")
"""The rules by which a client's weight counts."""


@dataclass(frozen=True)
class AggregateParams(RoundParams):
    """By which rule the updates are aggregated."""

    method: Method = "fedavg"
    """`fedavg`: mean by the clients' weights. `median`, `trimmed-mean`: of each coordinate, unweighted.
    `geometric-median`: the point with the least sum of distances to all updates, by the clients' weights. `krum`:
    the one update nearest to its neighbours. `multi-krum`: the mean of several such updates. `bulyan`: chooses updates
    by Krum, then takes the mean of the values around the median of each coordinate. `clipped-mean`: the mean of deltas
    shortened to the length `clip`, with Gaussian noise for differential privacy if `noise` is given."""
    trim: Annotated[float, Ge(0), Lt(0.5)] = 0.1
    """Share of values that `trimmed-mean` drops at each end of a coordinate; floor(trim × clients) values."""
    byzantine: Annotated[int, Ge(0), Le(100_000)] | None = None
    """Number f of malicious clients that `krum` and `multi-krum` (of 2 f + 3 clients or more) or `bulyan` (of 4 f + 3
    or more) must withstand; by default the greatest number that the round allows."""
    keep: Annotated[int, Ge(1), Le(100_000)] | None = None
    """Number of updates that `multi-krum` averages; by default all but f."""
    smoothing: Annotated[float, Ge(1e-3), Le(1)] = 1e-3
    """`geometric-median` counts distances below this share of the usual distance between updates as that share."""
    clip: Annotated[float, Gt(0), Le(1e30)] | None = None
    """Greatest Euclidean length of a delta for `clipped-mean`; by default the median length, which allows no noise."""
    noise: Annotated[float, Ge(0), Le(1e3)] = 0.0
    """Noise multiplier z of `clipped-mean`: noise of standard deviation z × clip / clients is added to each
    coordinate."""
    delta: Annotated[float, Gt(0), Lt(1)] = 1e-5
    """The δ of differential privacy for which the answer gives ε."""
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    """Seed of the noise. Anyone who knows it can subtract the noise: keep it secret, and choose another each time."""
    factors: dict[str, Annotated[float, Ge(0), Le(1e6)]] | None = None
    """What clients' weights are multiplied by, by client; 0 leaves a client out, by any rule. Other factors need a rule
    that weighs: `fedavg` or `geometric-median`."""

    ADDED = ("factors",)

    def __post_init__(self) -> None:
        if self.noise and (self.method != "clipped-mean" or self.clip is None):
            raise InvalidParameters(
                "noise needs method 'clipped-mean' and a fixed clip, which does not depend on the updates; give both"
            )
        if self.method not in _WEIGHTED and (unused := sorted({*(self.factors or {}).values()} - {0.0, 1.0})):
            raise InvalidParameters(
                f"factors: {self.method!r} weighs no client, so {unused[0]:g} says nothing; use 0 and 1, or fedavg"
            )


@dataclass(frozen=True)
class Privacy(Result):
    """Differential privacy of one release, by the analytic Gaussian mechanism (Balle and Wang 2018).

    Two rounds are neighbours if one client's delta is zero in one of them; the number of clients is not secret. Privacy
    losses of several releases add up; this is the loss of this release alone. It covers the model, not the other fields
    of the answer.
    """

    epsilon: float
    """ε, the privacy loss."""
    delta: float
    """δ, the probability with which the loss may exceed ε."""
    sensitivity: float
    """Greatest Euclidean distance by which one client can move the mean: clip / clients."""
    deviation: float
    """Standard deviation of the noise on each coordinate."""


@dataclass(frozen=True)
class AggregateResult(Weighted):
    """A new aggregate, and how it was made."""

    round: int
    """The round whose updates were aggregated."""
    method: str
    """The rule by which they were aggregated."""
    clients: list[str]
    """The clients whose updates were used."""
    weights: list[float]
    """Weight of each of `clients`: of its model, or of its delta for `clipped-mean`; all equal for coordinate-wise
    rules."""
    left_out: list[str]
    """Clients that Krum or Bulyan did not choose."""
    dropped: int
    """Number of values dropped from each coordinate, both ends together."""
    moved: float
    """Euclidean distance of the aggregate from the round's base, or from zero if it has none."""
    privacy: Privacy | None
    """Differential privacy of the model; null without noise."""
    artifact: ArtifactLink
    """Where the model is stored."""


class Aggregate:
    """A round's updates aggregated anew into a stored model, by one of eight rules."""

    name = "aggregate"
    pattern = Pattern.P2
    needs = Needs.WEIGHTS
    reads_base = True
    against_zero = True
    source = (
        "McMahan et al. 2017, AISTATS; Yin et al. 2018, ICML; Pillutla et al. 2019, arXiv:1912.13445; "
        "Blanchard et al. 2017, NeurIPS; El Mhamdi et al. 2018, ICML; McMahan et al. 2018, ICLR; "
        "Balle and Wang 2018, ICML"
    )
    params = AggregateParams
    result = AggregateResult

    def select(self, params: AggregateParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def reads_statistics(self, params: AggregateParams) -> bool:
        return params.method in _FROM_STATISTICS

    def members(self, rounds: Sequence[RoundData], params: AggregateParams) -> Sequence[SliceMember]:
        (data,) = rounds
        members = _taken(data, params)
        if not members:
            raise NotEnoughData(f"round {data.record.number} has no updates to aggregate; name another round")
        weights = _weights(data, members, params).tolist()
        return [
            SliceMember(data.record.number, member.client, _examples(member, params), (weight,))
            for member, weight in zip(members, weights, strict=True)
            if weight or params.method not in _CHOOSING
        ]

    def map(self, view: SliceView, params: AggregateParams) -> Partial:
        combined, moved = combine_rows(_rows(view, params), _combiner(view, params), view.base)
        return {"vector": combined, "moved": np.array([moved])}

    def combine(self, partials: Sequence[Partial], context: Context, params: AggregateParams) -> AggregateResult:
        members = context.members
        record = context.round.record
        used = {member.client for member in members}
        metadata = origin_of(self.name, context, params).to_metadata()
        return AggregateResult(
            round=record.number,
            method=params.method,
            clients=[member.client for member in members],
            weights=[member.weights[0] for member in members],
            unweighted=unweighted(context.round.members(list(used))) if params.method in _WEIGHTED else [],
            left_out=[m.client for m in _taken(context.round, params) if m.client not in used],
            dropped=_dropped(members, params),
            moved=math.sqrt(sum(float(partial["moved"][0]) for partial in partials)),
            privacy=_privacy(len(members), params),
            artifact=context.write_model([partial["vector"] for partial in partials], metadata),
        )


def _geometric_median(gram: Float64, masses: Float64, params: AggregateParams) -> Float64:
    return geometric_median(gram, masses, params.smoothing)


def _krum(gram: Float64, _: Float64, params: AggregateParams) -> Float64:
    return _even(krum_choice(gram, _byzantine(len(gram), params), 1), len(gram))


def _multi_krum(gram: Float64, _: Float64, params: AggregateParams) -> Float64:
    byzantine = _byzantine(len(gram), params)
    keep = len(gram) - byzantine if params.keep is None else params.keep
    if keep > len(gram):
        raise NotEnoughData(f"{len(gram)} update(s) are fewer than keep ({keep}); lower it")
    return _even(krum_choice(gram, byzantine, keep), len(gram))


def _bulyan(gram: Float64, _: Float64, params: AggregateParams) -> Float64:
    """Return 1 / β for the chosen clients, of whose values β count in each coordinate, and 0 for the others."""
    byzantine = _byzantine(len(gram), params)
    weights = np.zeros(len(gram))
    weights[bulyan_choice(gram, byzantine)] = 1 / (len(gram) - 4 * byzantine)
    return weights


def _clipped(gram: Float64, _: Float64, params: AggregateParams) -> Float64:
    return clipping_weights(gram, float(np.median(norms(gram))) if params.clip is None else params.clip)


_FROM_STATISTICS: Mapping[str, Callable[[Float64, Float64, AggregateParams], Float64]] = {
    "geometric-median": _geometric_median,
    "krum": _krum,
    "multi-krum": _multi_krum,
    "bulyan": _bulyan,
    "clipped-mean": _clipped,
}
"""The rules whose weights follow from the statistics: from the Gram matrix of deltas, shape (n, n), and FedAvg's
weights, shape (n,)."""
_CHOOSING = ("krum", "multi-krum", "bulyan")
"""The rules that use some of the updates only."""


def _taken(data: RoundData, params: AggregateParams) -> tuple[Member, ...]:
    """Return the updates that the rule is given: those of the named clients, without those whose factor is 0."""
    factors = params.factors or {}
    if factors:
        data.members([*factors])  # raises `NotFound` for a name that no client of the round has
    return tuple(member for member in data.members(params.clients) if factors.get(member.client, 1.0) > 0.0)


def _examples(member: Member, params: AggregateParams) -> float:
    return member.num_examples * (params.factors or {}).get(member.client, 1.0)


def _weights(data: RoundData, members: Sequence[Member], params: AggregateParams) -> Float64:
    """Return the weight of each member's update, shape (n,); 0 for one that is not chosen."""
    even = params.method in UNWEIGHTED
    weights = fedavg_weights([1.0 if even else _examples(member, params) for member in members])
    if params.method not in _FROM_STATISTICS:
        return weights
    deltas = data.deltas([member.client for member in members])
    return _FROM_STATISTICS[params.method](deltas.gram, weights, params)


def _byzantine(clients: int, params: AggregateParams) -> int:
    """Return f; raise `NotEnoughData` if the rule cannot withstand that many malicious clients."""
    factor = 4 if params.method == "bulyan" else 2
    most = max(0, (clients - 3) // factor)
    if params.byzantine is not None and params.byzantine > most:
        raise NotEnoughData(
            f"{params.method} withstands {params.byzantine} malicious clients only among "
            f"{factor * params.byzantine + 3} or more; these are {clients}: lower byzantine"
        )
    return most if params.byzantine is None else params.byzantine


def _even(rows: NDArray[np.intp], clients: int) -> Float64:
    """Return weights, shape (clients,), that are equal for the chosen rows and 0 for the others."""
    weights = np.zeros(clients)
    weights[rows] = 1 / len(rows)
    return weights


def _rows(view: SliceView, params: AggregateParams) -> Sequence[FlatView]:
    """Return the rows to combine; clipped deltas need the base too, as part of it remains."""
    return (*view.rows, view.base) if params.method == "clipped-mean" and view.base else view.rows


def _combiner(view: SliceView, params: AggregateParams) -> Combiner:
    """Return what combines the rows of a slice, in blocks, by the rule and by the weights that `members` found."""
    if params.method in UNWEIGHTED:
        return MeanOfRanks(_cut(len(view.rows), params))
    if params.method == "fedavg":
        return WeightedSum(fedavg_weights(view.num_examples.tolist()))
    weights = view.weights[:, 0]
    if params.method == "bulyan":
        return MeanAroundMedian(_kept(weights[0]))
    if params.method == "clipped-mean":
        # base + Σ w (model - base) = Σ w model + (1 - Σ w) base
        weights = np.append(weights, 1 - weights.sum()) if view.base else weights
        return NoisySum(weights, _deviation(len(view.rows), params), params.seed)
    return WeightedSum(weights)


def _cut(clients: int, params: AggregateParams) -> int:
    """Return how many values a coordinate-wise rule drops at each end."""
    return coordinate_median(clients).cut if params.method == "median" else int(params.trim * clients)


def _kept(weight: float) -> int:
    """Return Bulyan's β, the number of values that count in each coordinate, from the weight 1 / β."""
    return round(1 / weight)


def _dropped(members: Sequence[SliceMember], params: AggregateParams) -> int:
    if params.method == "bulyan":
        return len(members) - _kept(members[0].weights[0])
    return 2 * _cut(len(members), params) if params.method in UNWEIGHTED else 0


def _deviation(clients: int, params: AggregateParams) -> float:
    """Return the standard deviation of the noise on each coordinate of the mean."""
    return params.noise * (params.clip or 0.0) / clients


def _privacy(clients: int, params: AggregateParams) -> Privacy | None:
    if not params.noise or params.clip is None:
        return None
    return Privacy(
        epsilon=gaussian_epsilon(params.noise, params.delta),
        delta=params.delta,
        sensitivity=params.clip / clients,
        deviation=_deviation(clients, params),
    )
