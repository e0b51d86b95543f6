"""The updates of a round, aggregated anew into a model: FedAvg, or one of the rules that withstand bad updates.

FedAvg is McMahan et al. 2017 (AISTATS); the median and the trimmed mean are Yin et al. 2018 (ICML); the others are
cited where they stand. All but the coordinate-wise rules are weighted sums, whose weights follow from the round's
statistics before any weights are read.
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
    fedavg_weights,
    one_round,
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


@dataclass(frozen=True)
class AggregateParams(RoundParams):
    """How the updates are combined."""

    method: Method = "fedavg"
    """`fedavg` and `geometric-median` weigh by num_examples, the others do not. `median` and `trimmed-mean` take every
    coordinate by itself; `krum` is the one update nearest to its neighbours, `multi-krum` the mean of the best such;
    `bulyan` chooses by Krum, then takes every coordinate's mean around its median; `clipped-mean` is the mean of deltas
    shortened to `clip`, with Gaussian noise for differential privacy if wanted."""
    trim: Annotated[float, Ge(0), Lt(0.5)] = 0.1
    """Share of the values dropped at each end by `trimmed-mean`; floor(trim × clients) of them."""
    byzantine: Annotated[int, Ge(0), Le(100_000)] | None = None
    """How many malicious clients `krum`, `multi-krum` (of 2 f + 3 at the least) and `bulyan` (of 4 f + 3) are to
    withstand; by default as many as they can."""
    keep: Annotated[int, Ge(1), Le(100_000)] | None = None
    """How many updates `multi-krum` averages; all but the malicious by default."""
    smoothing: Annotated[float, Ge(1e-3), Le(1)] = 1e-3
    """Share of the updates' usual distance from each other, below which `geometric-median` counts distances as that
    much."""
    clip: Annotated[float, Gt(0), Le(1e30)] | None = None
    """Longest delta of `clipped-mean`; by default the median length, which allows no noise."""
    noise: Annotated[float, Ge(0), Le(1e3)] = 0.0
    """Noise multiplier z of `clipped-mean`: every coordinate gets noise of deviation z × clip / clients."""
    delta: Annotated[float, Gt(0), Lt(1)] = 1e-5
    """δ for which ε is told."""
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    """Seed of the noise. Whoever knows it can take the noise away: keep it secret, and choose another every time."""

    def __post_init__(self) -> None:
        if self.noise and (self.method != "clipped-mean" or self.clip is None):
            raise InvalidParameters(
                "noise needs method 'clipped-mean' and a clip that does not follow from the updates; name both"
            )


@dataclass(frozen=True)
class Privacy(Result):
    """What one release promises, by the analytic Gaussian mechanism (Balle and Wang 2018).

    Neighbouring rounds differ in that one client's delta is zero instead; the number of clients is no secret. Releases
    add up: this accounts for this one alone. It covers the model, not the other fields of the answer.
    """

    epsilon: float
    """ε."""
    delta: float
    """δ."""
    sensitivity: float
    """Greatest Euclidean distance that one client can move the mean: clip / clients."""
    deviation: float
    """Standard deviation of the noise on every coordinate."""


@dataclass(frozen=True)
class AggregateResult(Result):
    """A new model, and how it came about."""

    round: int
    """The round whose updates went in."""
    method: str
    """How they were combined."""
    clients: list[str]
    """Whose updates went in."""
    weights: list[float]
    """Each client's weight, equal for the coordinate-wise methods; by `clipped-mean` that of its delta."""
    left_out: list[str]
    """Clients that Krum or Bulyan did not choose."""
    dropped: int
    """Values left out of every coordinate, both ends together."""
    moved: float
    """Euclidean distance from the round's base, or from zero if it has none."""
    privacy: Privacy | None
    """What noise promises; null without."""
    artifact: ArtifactLink
    """The model."""


class Aggregate:
    """A round's updates aggregated anew, by one of eight rules, into a stored model."""

    name = "aggregate"
    pattern = Pattern.P2
    needs = Needs.WEIGHTS
    reads_base = True
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
        members = data.members(params.clients)
        if not members:
            raise NotEnoughData(f"round {data.record.number} has no updates to aggregate")
        weights = _weights(data, params).tolist()
        return [
            SliceMember(data.record.number, member.client, member.num_examples, (weight,))
            for member, weight in zip(members, weights, strict=True)
            if weight or params.method not in _CHOOSING
        ]

    def map(self, view: SliceView, params: AggregateParams) -> Partial:
        combined, moved = combine_rows(_rows(view, params), _combiner(view, params), view.base)
        return {"vector": combined, "moved": np.array([moved])}

    def combine(self, partials: Sequence[Partial], context: Context, params: AggregateParams) -> AggregateResult:
        members = context.members
        record = context.round.record
        chosen = {member.client for member in members}
        metadata = origin_of(self.name, context, params).to_metadata()
        return AggregateResult(
            round=record.number,
            method=params.method,
            clients=[member.client for member in members],
            weights=[member.weights[0] for member in members],
            left_out=[m.client for m in context.round.members(params.clients) if m.client not in chosen],
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
        raise NotEnoughData(f"{len(gram)} update(s) are too few to keep {keep}")
    return _even(krum_choice(gram, byzantine, keep), len(gram))


def _bulyan(gram: Float64, _: Float64, params: AggregateParams) -> Float64:
    """Return 1 / β for the clients chosen, of whose values β count at each coordinate; 0 for the others."""
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
_CHOOSING = ("krum", "multi-krum", "bulyan")


def _weights(data: RoundData, params: AggregateParams) -> Float64:
    """Return what each client's update counts, shape (n,); 0 for one that is not chosen."""
    members = data.members(params.clients)
    even = params.method in UNWEIGHTED
    masses = fedavg_weights([1.0 if even else member.num_examples for member in members])
    if params.method not in _FROM_STATISTICS:
        return masses
    return _FROM_STATISTICS[params.method](data.deltas(params.clients).gram, masses, params)


def _byzantine(clients: int, params: AggregateParams) -> int:
    """Return f; raise `NotEnoughData` if the method cannot withstand as many as it is told to."""
    share = 4 if params.method == "bulyan" else 2
    most = max(0, (clients - 3) // share)
    if params.byzantine is not None and params.byzantine > most:
        raise NotEnoughData(
            f"{params.method} withstands {params.byzantine} malicious clients among "
            f"{share * params.byzantine + 3} or more; these are {clients}"
        )
    return most if params.byzantine is None else params.byzantine


def _even(rows: NDArray[np.intp], clients: int) -> Float64:
    weights = np.zeros(clients)
    weights[rows] = 1 / len(rows)
    return weights


def _rows(view: SliceView, params: AggregateParams) -> Sequence[FlatView]:
    """Return the rows that are combined; clipped deltas leave part of the base standing."""
    return (*view.rows, view.base) if params.method == "clipped-mean" and view.base else view.rows


def _combiner(view: SliceView, params: AggregateParams) -> Combiner:
    if params.method in UNWEIGHTED:
        return MeanOfRanks(_cut(len(view.rows), params))
    if params.method == "fedavg":
        return WeightedSum(fedavg_weights(view.num_examples.tolist()))
    weights = view.weights[:, 0]
    if params.method == "bulyan":
        return MeanAroundMedian(_kept(weights[0]))
    if params.method == "clipped-mean":
        whole = np.append(weights, 1 - weights.sum()) if view.base else weights
        return NoisySum(whole, _deviation(len(view.rows), params), params.seed)
    return WeightedSum(weights)


def _cut(clients: int, params: AggregateParams) -> int:
    return coordinate_median(clients).cut if params.method == "median" else int(params.trim * clients)


def _kept(weight: float) -> int:
    return round(1 / weight)


def _dropped(members: Sequence[SliceMember], params: AggregateParams) -> int:
    if params.method == "bulyan":
        return len(members) - _kept(members[0].weights[0])
    return 2 * _cut(len(members), params) if params.method in UNWEIGHTED else 0


def _deviation(clients: int, params: AggregateParams) -> float:
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
