"""One stored model, tensor by tensor: norm, mean, sparsity, quantiles, and distance from the base.

Each shard computes totals of every tensor's part in its slice: sum of squares, sum, number of zeros, and squared
distance from the base. Totals add up over slices. Quantiles do not, so each part is summarized by counts of values in
fixed stretches, and these sketches merge exactly (`methods.quantiles`). Descriptive statistics; no publication.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, MaxLen

from flstore_core.errors import NotFound, unknown
from flstore_core.flat import FlatView
from flstore_core.ids import AGGREGATE, MAX_ROUND, ClientId
from flstore_core.schema import Segment, TensorSpec
from flstore_core.workloads import (
    Context,
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
    one_round,
)
from flstore_core.workloads.methods.coordinatewise import aligned_blocks
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.methods.quantiles import MANY, Sketch, merge, quantile, sketch

_BLOCK = 65_536
_SQUARES, _SUM, _ZEROS, _MOVED = range(4)
"""Columns of a tensor's totals: they add up over slices."""
_NOTHING = (np.inf, -np.inf)
"""Least and greatest of no values."""


@dataclass(frozen=True)
class InspectParams(Params):
    """Which model is inspected, and at which quantiles."""

    round: Annotated[int, Ge(0), Le(MAX_ROUND)] | None = None
    """Number of the model's round; the newest committed one by default."""
    client: str = AGGREGATE
    """The client that sent the model, or `aggregate` for the round's aggregate."""
    quantiles: Annotated[list[Annotated[float, Ge(0), Le(1)]], MaxLen(100)] = field(
        default_factory=lambda: [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]
    )
    """Quantiles to compute of every tensor, each between 0 (the least element) and 1 (the greatest)."""


@dataclass(frozen=True)
class TensorFigures(Result):
    """Figures of one tensor."""

    name: str
    """Name of the tensor."""
    dtype: str
    """Its element type as safetensors calls it, such as `F32`."""
    shape: list[int]
    """Its shape."""
    norm: float
    """Euclidean norm of its elements."""
    mean: float
    """Mean of its elements; 0 if it has none."""
    sparsity: float
    """Share of its elements that are exactly 0, 0 to 1."""
    quantiles: list[float]
    """The requested quantiles, in the same order, with a relative error of at most 1/128; least and greatest are exact.
    Empty if the tensor has no elements."""
    distance: float | None
    """Euclidean distance from the same tensor of the round's base; null if the round has no base."""


@dataclass(frozen=True)
class InspectResult(Result):
    """Figures of one model."""

    round: int
    """Number of the model's round."""
    client: str
    """The client that sent the model, or `aggregate`."""
    base: int | None
    """The round whose aggregate is the base, from which distances are taken; null if the round has no base."""
    parameters: int
    """Number of elements of all floating-point tensors."""
    norm: float
    """Euclidean norm of all these elements."""
    sparsity: float
    """Share of these elements that are exactly 0, 0 to 1."""
    distance: float | None
    """Euclidean distance from the base; null if the round has none."""
    tensors: list[TensorFigures]
    """Figures of each floating-point tensor, in the order of the schema."""
    others: list[str]
    """Names of the integer and boolean tensors, which have no figures."""


class Inspect:
    """One stored model, tensor by tensor: norm, mean, sparsity, quantiles, and distance from the base."""

    name = "inspect"
    pattern = Pattern.P1
    needs = Needs.WEIGHTS
    reads_base = True
    source = "Descriptive statistics; no publication"
    params = InspectParams
    result = InspectResult

    def select(self, params: InspectParams, index: RoundIndex) -> Sequence[int]:
        return one_round(RoundParams(params.round), index)

    def members(self, rounds: Sequence[RoundData], params: InspectParams) -> Sequence[SliceMember]:
        (data,) = rounds
        record = data.record
        if params.client == AGGREGATE and record.aggregate is None:
            raise NotFound(f"round {record.number} has no aggregate; name a client of {', '.join(record.by_client)}")
        if params.client != AGGREGATE and params.client not in record.by_client:
            raise unknown(f"client in round {record.number}", params.client, record.by_client)
        return [SliceMember(record.number, ClientId(params.client))]

    def map(self, view: SliceView, params: InspectParams) -> Partial:
        (row,) = view.rows
        totals = np.zeros((len(view.segments), 4))
        extremes = np.full((len(view.segments), 2), _NOTHING)
        sketches: list[Sketch] = []
        stretches = np.zeros(len(view.segments), np.int64)
        for index, first, last in _tensors(view.segments, row):
            totals[index] = _totals(row, view.base, first, last)
            # The tensor's whole size decides how it is sketched: all parts of one tensor must be sketched alike.
            values, segment = row.read(first, last), view.segments[index]
            extremes[index] = values.min(), values.max()
            sketches.append(sketch(values, many=segment.stop - segment.start >= MANY))
            stretches[index] = len(sketches[-1].count)
        return {"totals": totals, "extremes": extremes, "stretches": stretches, **_joined(sketches)}

    def combine(self, partials: Sequence[Partial], context: Context, params: InspectParams) -> InspectResult:
        record, schema = context.round.record, context.job.schema
        totals = np.sum([partial["totals"] for partial in partials], axis=0)
        specs = {tensor.name: tensor for tensor in schema.tensors}
        has_base, shares = record.base is not None, np.array(params.quantiles)
        tensors = [
            _figures(specs[segment.name], totals[index], _quantiles(partials, index, shares), has_base)
            for index, segment in enumerate(schema.segments)
        ]
        whole = totals.sum(axis=0)
        return InspectResult(
            round=record.number,
            client=params.client,
            base=record.base,
            parameters=schema.parameters,
            norm=math.sqrt(whole[_SQUARES]),
            sparsity=float(whole[_ZEROS] / schema.parameters),
            distance=math.sqrt(whole[_MOVED]) if has_base else None,
            tensors=tensors,
            others=list(schema.outside),
        )


def _tensors(segments: Sequence[Segment], row: FlatView) -> Iterator[tuple[int, int, int]]:
    """Yield, for each tensor that has elements in a slice, its index and these elements' range [first, last)."""
    for index, segment in enumerate(segments):
        first, last = max(segment.start, row.start), min(segment.stop, row.stop)
        if first < last:
            yield index, first, last


def _totals(row: FlatView, base: FlatView | None, first: int, last: int) -> Float64:
    """Return sum of squares, sum, number of zeros, and squared distance from the base of elements [first, last)."""
    totals = np.zeros(4)
    for start, stop in aligned_blocks(first, last, _BLOCK):
        values = row.values(start, stop).astype(np.float64)
        totals[_SQUARES] += values @ values
        totals[_SUM] += values.sum()
        totals[_ZEROS] += stop - start - np.count_nonzero(values)
        if base is not None:
            values -= base.values(start, stop)
            totals[_MOVED] += values @ values
    return totals


def _joined(tensors: Sequence[Sketch]) -> Partial:
    """Return the tensors' sketches as three arrays, one tensor after the other."""
    none = np.empty(0, np.float32)  # a first, empty sketch: nothing cannot be concatenated
    sketches = [Sketch(none, none, np.empty(0, np.int64)), *tensors]
    return {
        "low": np.concatenate([each.low for each in sketches]),
        "high": np.concatenate([each.high for each in sketches]),
        "count": np.concatenate([each.count for each in sketches]),
    }


def _quantiles(partials: Sequence[Partial], index: int, shares: Float64) -> list[float]:
    """Return a tensor's quantiles from the sketches of its parts; an empty list if it has no elements."""
    parts = [_part(partial, index) for partial in partials if partial["stretches"][index]]
    if not parts:
        return []
    least = min(partial["extremes"][index, 0] for partial in partials)
    greatest = max(partial["extremes"][index, 1] for partial in partials)
    return list(map(float, quantile(merge(parts), shares, least, greatest)))


def _part(partial: Partial, index: int) -> Sketch:
    """Return the sketch of a tensor's part in one slice, from the arrays of `_joined`."""
    stop = int(partial["stretches"][: index + 1].sum())
    part = slice(stop - int(partial["stretches"][index]), stop)
    return Sketch(partial["low"][part], partial["high"][part], partial["count"][part])


def _figures(spec: TensorSpec, totals: Float64, quantiles: list[float], has_base: bool) -> TensorFigures:
    return TensorFigures(
        name=spec.name,
        dtype=spec.dtype,
        shape=list(spec.shape),
        norm=math.sqrt(totals[_SQUARES]),
        mean=float(totals[_SUM] / max(spec.size, 1)),
        sparsity=float(totals[_ZEROS] / max(spec.size, 1)),
        quantiles=quantiles,
        distance=math.sqrt(totals[_MOVED]) if has_base else None,
    )
