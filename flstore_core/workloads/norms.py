"""Lengths of stored models, any that are named, read from their weights.

The plain Euclidean norm; no publication. Beside its answer it is the one workload that reads exactly the models it is
told to, under the access pattern it is told, so that a trace of reads can be replayed against a live cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, MaxLen, MinLen

from flstore_core.errors import NotFound, unknown
from flstore_core.flat import FlatView
from flstore_core.ids import AGGREGATE, MAX_ROUND, ClientId
from flstore_core.workloads import (
    Context,
    Needs,
    Params,
    Partial,
    Pattern,
    PatternParams,
    Result,
    RoundData,
    RoundIndex,
    SliceMember,
    SliceView,
)

_BLOCK = 65_536


@dataclass(frozen=True)
class StoredModel(Params):
    """One stored model."""

    round: Annotated[int, Ge(0), Le(MAX_ROUND)]
    """Its round."""
    client: str = AGGREGATE
    """The client that sent it, or `aggregate`."""


@dataclass(frozen=True)
class NormsParams(PatternParams):
    """Which models are read."""

    models: Annotated[list[StoredModel], MinLen(1), MaxLen(10_000)]
    """The models, each once."""


@dataclass(frozen=True)
class Norm(Result):
    """One model's length."""

    round: int
    """Its round."""
    client: str
    """Who sent it."""
    norm: float
    """Euclidean norm of its parameters."""


@dataclass(frozen=True)
class NormsResult(Result):
    """Lengths of models."""

    norms: list[Norm]
    """In the order in which they were asked for."""


class Norms:
    """How long the named models' parameter vectors are."""

    name = "norms"
    pattern = Pattern.P2
    needs = Needs.WEIGHTS
    reads_base = False
    source = "Euclidean norm"
    params = NormsParams
    result = NormsResult

    def select(self, params: NormsParams, index: RoundIndex) -> Sequence[int]:
        wanted = sorted({model.round for model in params.models})
        for number in wanted:
            if number not in index.committed and number not in index.open:
                raise NotFound(f"round {number} has no models")
        return wanted

    def members(self, rounds: Sequence[RoundData], params: NormsParams) -> Sequence[SliceMember]:
        by_number = {data.record.number: data.record for data in rounds}
        for model in params.models:
            known = by_number[model.round].by_client
            if model.client != AGGREGATE and model.client not in known:
                raise unknown(f"client in round {model.round}", model.client, known)
        return [SliceMember(model.round, ClientId(model.client)) for model in params.models]

    def map(self, view: SliceView, params: NormsParams) -> Partial:
        return {"squares": np.array([_squared_norm(row) for row in view.rows])}

    def combine(self, partials: Sequence[Partial], context: Context, params: NormsParams) -> NormsResult:
        lengths = np.sqrt(sum(partial["squares"] for partial in partials)).tolist()
        named = zip(params.models, lengths, strict=True)
        return NormsResult([Norm(model.round, model.client, length) for model, length in named])


def _squared_norm(row: FlatView) -> float:
    blocks = (row.read(start, min(start + _BLOCK, row.stop)) for start in range(row.start, row.stop, _BLOCK))
    return sum(float(np.dot(block, block)) for block in blocks)


NormsOfModels = Norms  # the name in older installations; removed with them
