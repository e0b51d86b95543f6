"""Which stored models, by their hashes, an aggregate or an artifact was made of.

An aggregate is traced to the updates of its round, and from its base to the rounds before. An artifact names the
workload, parameters and models that it was made of in its own metadata. With `verify`, either is made again from what
is stored, and compared. What was advised before an aggregation, and done, is told with the round. An aggregate
that FLStore made itself is made again as it was made, by whichever rule. No publication.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.flat import Float32
from flstore_core.ids import AGGREGATE, MAX_ROUND
from flstore_core.records import Round
from flstore_core.workloads import (
    ArtifactLink,
    Context,
    MetadataOf,
    Needs,
    Params,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    RoundParams,
    SliceMember,
    SliceView,
    Weighted,
    WeightsWorkload,
    fedavg_weights,
    one_round,
    registry,
    unweighted,
    wants_statistics,
)
from flstore_core.workloads.methods.bulyan import MeanAroundMedian
from flstore_core.workloads.methods.coordinatewise import MeanOfRanks, combine_rows, squared_norm, weighted_sums
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.advice import RoundAdvice, advice_on, applied_factors
from flstore_core.workloads.shared.making import read_making
from flstore_core.workloads.shared.origin import Input, Origin, sha256_of
from flstore_core.workloads.shared.weighted_models import ModelKey, ModelSum, aggregate_sum, members_of_sums


@dataclass(frozen=True)
class ProvenanceParams(Params):
    """Which model is traced, how far back, and whether it is made again."""

    round: Annotated[int, Ge(0), Le(MAX_ROUND)] | None = None
    """The round whose aggregate is traced; the newest committed one by default."""
    last: Annotated[int, Ge(1), Le(100_000)] = 1
    """Number of rounds to trace, from each round to the round of its base."""
    artifact: str | None = None
    """Id of an artifact to trace instead."""
    verify: bool = False
    """Whether the model is made again and compared: an aggregate by FedAvg, an artifact by its workload with the same
    parameters."""
    tolerance: Annotated[float, Gt(0), Le(1)] = 1e-5
    """Greatest distance from what is made again, as a share of the aggregate's norm, at which an aggregate counts as
    verified."""
    metadata: dict[str, str] | None = None
    """The artifact's metadata. The gateway fills it in; leave it out."""


@dataclass(frozen=True)
class Update(Result):
    """An update that an aggregate was made of."""

    client: str
    """The client that sent it."""
    sha256: str
    """SHA-256 of its whole file, in hexadecimal."""
    weight: float
    """Its weight in the aggregate, 0 to 1, after advice; 0 if it was left out."""


@dataclass(frozen=True)
class Generation(Result):
    """A round, and what its aggregate was made of."""

    round: int
    """Number of the round."""
    base: int | None
    """The round whose aggregate it started from; null if it has no base."""
    aggregate: str | None
    """SHA-256 of the stored aggregate, in hexadecimal; null if none is stored."""
    updates: list[Update]
    """The updates of the round."""
    distance: float | None
    """Euclidean distance of the stored aggregate from FedAvg of the updates, or from what FLStore made it by; null if
    it was not made again, as where the updates are differences and the round has no base to add them to."""
    verified: bool | None
    """Whether that distance is within the tolerance; null if it was not made again."""
    advice: RoundAdvice | None
    """What was advised before the updates were aggregated, and done; null if nobody was asked."""


@dataclass(frozen=True)
class ProvenanceResult(Weighted):
    """What a model was made of."""

    generations: list[Generation]
    """The aggregate's round and the rounds before it, newest first; empty for an artifact."""
    workload: str | None
    """Name of the workload that made the artifact; null for an aggregate."""
    inputs: list[Input]
    """The models that the artifact was made of; empty for an aggregate."""
    changed: list[Input]
    """Those of `inputs` that are no longer stored, or are stored with another hash."""
    verified: bool | None
    """Whether everything that was made again came out the same; null if nothing was made again."""
    remade: ArtifactLink | None
    """The artifact as it comes out now, if it does not come out the same; null otherwise."""


class Provenance:
    """Which stored models, by their hashes, made an aggregate or an artifact; it can be made again and compared."""

    name = "provenance"
    pattern = Pattern.P3
    needs = Needs.WEIGHTS
    reads_base = True
    source = "Lineage by content hashes; no publication"
    params = ProvenanceParams
    result = ProvenanceResult

    def with_artifact(self, params: ProvenanceParams, metadata_of: MetadataOf) -> ProvenanceParams:
        """Return the parameters, completed by the metadata of the artifact they name."""
        if params.metadata is not None:
            raise InvalidParameters("metadata is read from the artifact itself; leave it out")
        return params if params.artifact is None else replace(params, metadata=dict(metadata_of(params.artifact)))

    def select(self, params: ProvenanceParams, index: RoundIndex) -> Sequence[int]:
        if maker := _maker(params):
            return maker.select(index)
        (newest,) = one_round(RoundParams(params.round), index)
        earlier = [number for number in index.committed if number < newest]
        return [*earlier, newest][-params.last :]

    def reads_statistics(self, params: ProvenanceParams) -> bool:
        maker = _maker(params)
        return maker is not None and params.verify and wants_statistics(maker.workload, maker.params)

    def members(self, rounds: Sequence[RoundData], params: ProvenanceParams) -> Sequence[SliceMember]:
        if not params.verify:
            return []
        if maker := _maker(params):
            return maker.members(rounds)
        records = _verifiable(rounds)
        if not records:
            return []
        remade, stored = [_remade_sum(record) for record in records], [aggregate_sum(record) for record in records]
        ranks = {model: code for record in records for model, code in _ranks(record).items()}
        return members_of_sums(remade, stored, ranks)

    def map(self, view: SliceView, params: ProvenanceParams) -> Partial:
        if not view.rows:
            return {}
        if maker := _maker(params):
            return maker.workload.map(view, maker.params)
        remade, stored = np.split(view.weights, 2, axis=1)
        apart = _squares(view, remade - stored)
        for index in range(len(apart)):
            used, aggregate = np.flatnonzero(remade[:, index]), np.flatnonzero(stored[:, index])
            if view.num_examples[used].all():
                apart[index] = _square_by_rank(view, used, aggregate)
        return {"apart": apart, "whole": _squares(view, stored)}

    def combine(self, partials: Sequence[Partial], context: Context, params: ProvenanceParams) -> ProvenanceResult:
        if maker := _maker(params):
            return _of_artifact(maker, partials, context, params)
        comparisons = _comparisons(partials, context.rounds, params)
        generations = [_generation(record, comparisons.get(record.number)) for record in _lineage(context.rounds)]
        verdicts = [entry.verified for entry in generations if entry.verified is not None]
        return ProvenanceResult(
            generations=generations,
            workload=None,
            inputs=[],
            changed=[],
            verified=all(verdicts) if verdicts else None,
            remade=None,
            unweighted=unweighted(*(record.members for record in _lineage(context.rounds))),
        )


@dataclass(frozen=True)
class Maker:
    """The workload that made an artifact, with the parameters and models it was given."""

    workload: WeightsWorkload[Any, Any]
    params: Any
    inputs: tuple[Input, ...]

    def select(self, index: RoundIndex) -> Sequence[int]:
        """Return the rounds that the workload read then.

        A request that names no round reads the newest one, which is another one by now. The newest round of the inputs
        is what it was then. The parameters themselves stay as they were: they are part of the artifact, and so of its
        hash.
        """
        newest = max((entry.round for entry in self.inputs), default=None)
        unnamed = [name for name in ("round", "last") if getattr(self.params, name, newest) is None]
        return self.workload.select(replace(self.params, **dict.fromkeys(unnamed, newest)), index)

    def members(self, rounds: Sequence[RoundData]) -> Sequence[SliceMember]:
        """Return the models that the workload reads; none if one of them is no longer stored."""
        try:
            return self.workload.members(rounds, self.params)
        except NotFound:
            return []


def _maker(params: ProvenanceParams) -> Maker | None:
    """Return what made the artifact; None if an aggregate is traced.

    Raises:
        InvalidParameters: if the artifact's metadata does not say how it was made.
        NotFound: if its workload is no longer registered.
    """
    if params.metadata is None:
        return None
    try:
        origin = Origin.from_metadata(params.metadata)
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidParameters(
            f"artifact {params.artifact!r} does not say in its metadata how it was made; only those of workloads do"
        ) from error
    workload = registry.get_weights(origin.workload)
    return Maker(workload, registry.params_from_json(workload, origin.params), origin.inputs)


def _of_artifact(
    maker: Maker, partials: Sequence[Partial], context: Context, params: ProvenanceParams
) -> ProvenanceResult:
    records = {data.record.number: data.record for data in context.rounds}
    changed = [
        entry
        for entry in maker.inputs
        if entry.sha256 and entry.round in records and sha256_of(records[entry.round], entry.client) != entry.sha256
    ]
    remade, lacking = _make_again(maker, partials, context) if context.members else ([], [])
    same = any(link.sha256.startswith(str(params.artifact)) for link in remade)  # an id is the start of the hash
    return ProvenanceResult(
        generations=[],
        workload=maker.workload.name,
        inputs=list(maker.inputs),
        changed=changed,
        verified=same if params.verify else None,
        remade=remade[-1] if remade and not same else None,
        unweighted=lacking,
    )


def _make_again(maker: Maker, partials: Sequence[Partial], context: Context) -> tuple[list[ArtifactLink], list[str]]:
    """Return links to what the workload writes now, and for whom it uses equal weights for want of any.

    The same content gets the same link.
    """
    links: list[ArtifactLink] = []

    def write(vector: Sequence[Float32], metadata: Mapping[str, str]) -> ArtifactLink:
        links.append(context.write_model(vector, metadata))
        return links[-1]

    result = maker.workload.combine(partials, replace(context, write_model=write), maker.params)
    return links, result.unweighted if isinstance(result, Weighted) else []


def _verifiable(rounds: Sequence[RoundData]) -> list[Round]:
    """Return the rounds whose aggregate can be made again and compared."""
    comparable = {data.record.number for data in rounds if data.has_models and data.record.members}
    return [
        record for record in _lineage(rounds) if record.aggregate and record.number in comparable and _is_remade(record)
    ]


def _is_remade(record: Round) -> bool:
    """Return whether a round's aggregate can be made again from what is stored: without noise, and with all clients."""
    making = read_making(record)
    return making is None or not (making.is_noisy or making.by_client(record) is None)


def _lineage(rounds: Sequence[RoundData]) -> list[Round]:
    """Return the newest round, the round of its base, and so on, as far as these were selected."""
    by_number = {data.record.number: data.record for data in rounds}
    lineage = [rounds[-1].record]
    while (base := lineage[-1].base) is not None and base in by_number:
        lineage.append(by_number[base])
    return lineage


def _squares(view: SliceView, weights: Float64) -> Float64:
    """Return the squared norm of each weighted sum's slice, shape (sums,)."""
    return np.array([squared_norm(total) for total in weighted_sums(view.rows, weights)])


def _comparisons(
    partials: Sequence[Partial], rounds: Sequence[RoundData], params: ProvenanceParams
) -> dict[int, tuple[float, bool]]:
    """Return, by round, the distance of its aggregate from FedAvg, and whether that is within the tolerance."""
    records = _verifiable(rounds)
    if not params.verify or not records:
        return {}
    apart, whole = (np.sqrt(np.sum([partial[name] for partial in partials], axis=0)) for name in ("apart", "whole"))
    within = apart <= params.tolerance * whole
    pairs = zip(apart.tolist(), within.tolist(), strict=True)
    return {record.number: pair for record, pair in zip(records, pairs, strict=True)}


def _square_by_rank(view: SliceView, used: NDArray[np.intp], aggregate: NDArray[np.intp]) -> float:
    """Return the squared distance of an aggregate's slice from the values of some ranks; see `_ranks`."""
    code = round(view.num_examples[used[0]])
    combiner = MeanOfRanks(code - 1) if code > 0 else MeanAroundMedian(-code)
    return combine_rows([view.rows[row] for row in used], combiner, view.rows[aggregate[0]])[1]


def _generation(record: Round, comparison: tuple[float, bool] | None) -> Generation:
    weights = _remade_sum(record) if record.members else {}
    distance, verified = comparison or (None, None)
    return Generation(
        round=record.number,
        base=record.base,
        aggregate=sha256_of(record, AGGREGATE) or None,
        updates=[Update(m.client, m.sha256, weights.get((record.number, m.client), 0.0)) for m in record.members],
        distance=distance,
        verified=verified,
        advice=advice_on(record),
    )


def _remade_sum(record: Round) -> ModelSum:
    """Return the sum that a round's aggregate is: by the weights that FLStore made it with, or else FedAvg."""
    making = read_making(record)
    if making is None:
        return _advised_sum(record)
    weights = making.by_client(record) or {}
    total = {(record.number, client): weight for client, weight in weights.items()}
    if making.method == "clipped-mean" and record.base is not None:  # what clipping took from the deltas is the base's
        total[record.base, AGGREGATE] = 1.0 - sum(weights.values())
    return total


def _ranks(record: Round) -> Mapping[ModelKey, float]:
    """Return which values of each coordinate count in an aggregate that is no sum of models; nothing for one that is.

    A number for each client, in the place of its examples, which count for nothing here: 1 more than the values that
    are dropped at each end, or, where those around the median count, how many they are, below zero.
    """
    making = read_making(record)
    if making is None or not making.is_by_rank:
        return {}
    kept = len(making.weights) - making.dropped
    code = -kept if making.around_median else making.dropped // 2 + 1
    return {(record.number, client): float(code) for client in making.by_client(record) or ()}


def _advised_sum(record: Round) -> ModelSum:
    """Return FedAvg of a round's updates, with their weights as they were applied on advice."""
    factors = applied_factors(record)
    examples = [member.num_examples * factors.get(member.client, 1.0) for member in record.members]
    weights = fedavg_weights(examples).tolist()
    return {(record.number, member.client): weight for member, weight in zip(record.members, weights, strict=True)}
