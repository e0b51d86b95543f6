"""What made a model: the updates, by their hashes, of an aggregate and of those it came from, or of an artifact.

With `verify`, made again from what is stored, and compared. No publication.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le

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
    WeightsWorkload,
    one_round,
    registry,
    wants_statistics,
)
from flstore_core.workloads.methods.coordinatewise import weighted_sums
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.origin import Input, Origin, sha256_of
from flstore_core.workloads.shared.weighted_models import aggregate_sum, fedavg_sum, members_of_sums, squared_norm


@dataclass(frozen=True)
class ProvenanceParams(Params):
    """Whose making is asked for."""

    round: Annotated[int, Ge(0), Le(MAX_ROUND)] | None = None
    """The round whose aggregate is asked about; the newest committed one by default."""
    last: Annotated[int, Ge(1), Le(100_000)] = 1
    """How many rounds are gone back, from each to its base."""
    artifact: str | None = None
    """An artifact to ask about instead, by its id."""
    verify: bool = False
    """Make it again and compare: an aggregate by FedAvg, an artifact by its workload with the same parameters."""
    tolerance: Annotated[float, Gt(0), Le(1)] = 1e-5
    """Distance from FedAvg, as a share of an aggregate's norm, up to which the aggregate counts as made by it."""
    metadata: dict[str, str] | None = None
    """What the artifact says of itself; filled in where the question arrives, not to be given."""


@dataclass(frozen=True)
class Update(Result):
    """An update that went into an aggregate."""

    client: str
    """Who sent it."""
    sha256: str
    """Of its whole file, in hexadecimal."""
    weight: float
    """What it counts in FedAvg."""


@dataclass(frozen=True)
class Generation(Result):
    """A round and what its aggregate was made of."""

    round: int
    """The round."""
    base: int | None
    """The round whose aggregate it started from."""
    aggregate: str | None
    """Hash of the stored aggregate; null if none is stored."""
    updates: list[Update]
    """What its clients sent."""
    distance: float | None
    """Euclidean distance of the stored aggregate from FedAvg of the updates; null where it was not made again."""
    verified: bool | None
    """Whether that is within the tolerance."""


@dataclass(frozen=True)
class ProvenanceResult(Result):
    """What made a model."""

    generations: list[Generation]
    """The aggregate's round and those before, newest first; empty for an artifact."""
    workload: str | None
    """What made the artifact."""
    inputs: list[Input]
    """The models that went into the artifact."""
    changed: list[Input]
    """Those of them that are no longer stored, or not with this hash."""
    verified: bool | None
    """Whether all that was made again came out the same; null where nothing was."""
    remade: ArtifactLink | None
    """The artifact as it comes out now, where it does not come out the same."""


class Provenance:
    """Which updates, of which hashes, made an aggregate or artifact; on demand it is made again and compared."""

    name = "provenance"
    pattern = Pattern.P3
    needs = Needs.WEIGHTS
    reads_base = True
    source = "Lineage by content hashes; no publication"
    params = ProvenanceParams
    result = ProvenanceResult

    def with_artifact(self, params: ProvenanceParams, metadata_of: MetadataOf) -> ProvenanceParams:
        """Return the parameters with what the artifact says of itself."""
        if params.metadata is not None:
            raise InvalidParameters("metadata is read from the artifact; leave it out")
        return params if params.artifact is None else replace(params, metadata=dict(metadata_of(params.artifact)))

    def select(self, params: ProvenanceParams, index: RoundIndex) -> Sequence[int]:
        if maker := _maker(params):
            return maker.workload.select(maker.params, index)
        (asked,) = one_round(RoundParams(params.round), index)
        earlier = [number for number in index.committed if number < asked]
        return [*earlier, asked][-params.last :]

    def reads_statistics(self, params: ProvenanceParams) -> bool:
        maker = _maker(params)
        return maker is not None and params.verify and wants_statistics(maker.workload, maker.params)

    def members(self, rounds: Sequence[RoundData], params: ProvenanceParams) -> Sequence[SliceMember]:
        if not params.verify:
            return []
        if maker := _maker(params):
            return maker.members(rounds)
        records = _to_verify(rounds)
        made = [fedavg_sum(record.number, record.members) for record in records]
        return members_of_sums(made, [aggregate_sum(record) for record in records], {}) if records else []

    def map(self, view: SliceView, params: ProvenanceParams) -> Partial:
        if not view.rows:
            return {}
        if maker := _maker(params):
            return maker.workload.map(view, maker.params)
        weights = view.weights
        count = weights.shape[1] // 2
        made, stored = weights[:, :count], weights[:, count:]
        return {"apart": _squares(view, made - stored), "whole": _squares(view, stored)}

    def combine(self, partials: Sequence[Partial], context: Context, params: ProvenanceParams) -> ProvenanceResult:
        if maker := _maker(params):
            return _of_artifact(maker, partials, context, params)
        found = _distances(partials, context.rounds, params)
        generations = [_generation(record, found.get(record.number)) for record in _line(context.rounds)]
        told = [entry.verified for entry in generations if entry.verified is not None]
        return ProvenanceResult(generations, None, [], [], all(told) if told else None, None)


@dataclass(frozen=True)
class Maker:
    """The workload that made an artifact, as it was asked then."""

    workload: WeightsWorkload[Any, Any]
    params: Any
    inputs: tuple[Input, ...]

    def members(self, rounds: Sequence[RoundData]) -> Sequence[SliceMember]:
        """Return what it read; nothing if some of that is gone."""
        try:
            return self.workload.members(rounds, self.params)
        except NotFound:
            return []


def _maker(params: ProvenanceParams) -> Maker | None:
    if params.metadata is None:
        return None
    try:
        origin = Origin.from_metadata(params.metadata)
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidParameters(f"artifact {params.artifact!r} does not tell how it was made") from error
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
    remade = _made_again(maker, partials, context) if context.members else []
    same = any(link.sha256.startswith(str(params.artifact)) for link in remade)
    return ProvenanceResult(
        generations=[],
        workload=maker.workload.name,
        inputs=list(maker.inputs),
        changed=changed,
        verified=same if params.verify else None,
        remade=remade[-1] if remade and not same else None,
    )


def _made_again(maker: Maker, partials: Sequence[Partial], context: Context) -> list[ArtifactLink]:
    """Return links to what the maker writes now; the same content has the same place."""
    links: list[ArtifactLink] = []

    def write(vector: Sequence[Float32], metadata: Mapping[str, str]) -> ArtifactLink:
        links.append(context.write_model(vector, metadata))
        return links[-1]

    maker.workload.combine(partials, replace(context, write_model=write), maker.params)
    return links


def _to_verify(rounds: Sequence[RoundData]) -> list[Round]:
    return [record for record in _line(rounds) if record.aggregate and record.members]


def _line(rounds: Sequence[RoundData]) -> list[Round]:
    """Return the newest round, its base, the base's base, and so on, as far as they were selected."""
    by_number = {data.record.number: data.record for data in rounds}
    line = [rounds[-1].record]
    while (base := line[-1].base) is not None and base in by_number:
        line.append(by_number[base])
    return line


def _squares(view: SliceView, weights: Float64) -> Float64:
    return np.array([squared_norm(total) for total in weighted_sums(view.rows, weights)])


def _distances(
    partials: Sequence[Partial], rounds: Sequence[RoundData], params: ProvenanceParams
) -> dict[int, tuple[float, bool]]:
    """Return by round how far its aggregate is from FedAvg, and whether that is within the tolerance."""
    records = _to_verify(rounds)
    if not params.verify or not records:
        return {}
    apart, whole = (np.sqrt(np.sum([part[name] for part in partials], axis=0)) for name in ("apart", "whole"))
    within = apart <= params.tolerance * whole
    return {r.number: (far, near) for r, far, near in zip(records, apart.tolist(), within.tolist(), strict=True)}


def _generation(record: Round, found: tuple[float, bool] | None) -> Generation:
    weights = fedavg_sum(record.number, record.members) if record.members else {}
    distance, verified = found or (None, None)
    return Generation(
        round=record.number,
        base=record.base,
        aggregate=sha256_of(record, AGGREGATE) or None,
        updates=[Update(m.client, m.sha256, weights[record.number, m.client]) for m in record.members],
        distance=distance,
        verified=verified,
    )
