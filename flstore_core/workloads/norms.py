"""How long the parameter vectors of named models are: their Euclidean norms, read from the weights.

Slices add up: |v|² is the sum of the squared norms of the slices of v. The workload reads exactly the models that a
request names, and counts under the access pattern that the request names. A recorded trace of reads can therefore be
replayed against a live cache with it. No publication.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, MaxLen, MinLen

from flstore_core.errors import NotFound, unknown
from flstore_core.flat import FlatView
from flstore_core.ids import AGGREGATE, MAX_ROUND, ClientId
from flstore_core.records import Round
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
from flstore_core.workloads.methods.coordinatewise import squared_norm

_BLOCK = 65_536


@dataclass(frozen=True)
class StoredModel(Params):
    """One stored model."""

    round: Annotated[int, Ge(0), Le(MAX_ROUND)]
    """Number of its round."""
    client: str = AGGREGATE
    """The client that sent it, or `aggregate` for the round's aggregate."""


@dataclass(frozen=True)
class NormsParams(PatternParams):
    """Which models are read."""

    models: Annotated[list[StoredModel], MinLen(1), MaxLen(10_000)]
    """The models to read; each may be named once."""


@dataclass(frozen=True)
class Norm(Result):
    """The norm of one model."""

    round: int
    """Number of its round."""
    client: str
    """The client that sent it, or `aggregate`."""
    norm: float
    """Euclidean norm of its flat parameter vector."""


@dataclass(frozen=True)
class NormsResult(Result):
    """The norms of models."""

    norms: list[Norm]
    """One norm for each model, in the order of the request."""


class Norms:
    """How long the parameter vectors of named models are."""

    name = "norms"
    pattern = Pattern.P2
    needs = Needs.WEIGHTS
    reads_base = False
    source = "Euclidean norm"
    params = NormsParams
    result = NormsResult

    def select(self, params: NormsParams, index: RoundIndex) -> Sequence[int]:
        numbers = sorted({model.round for model in params.models})
        for number in numbers:
            if number not in index.committed and number not in index.open:
                raise NotFound(f"round {number} has no models; name a committed or an open round")
        return numbers

    def members(self, rounds: Sequence[RoundData], params: NormsParams) -> Sequence[SliceMember]:
        records = {data.record.number: data.record for data in rounds}
        for model in params.models:
            _check_stored(model, records[model.round])
        return [SliceMember(model.round, ClientId(model.client)) for model in params.models]

    def map(self, view: SliceView, params: NormsParams) -> Partial:
        return {"squares": np.array([_squared_norm(row) for row in view.rows])}

    def combine(self, partials: Sequence[Partial], context: Context, params: NormsParams) -> NormsResult:
        norms = np.sqrt(sum(partial["squares"] for partial in partials)).tolist()
        return NormsResult(
            [Norm(model.round, model.client, norm) for model, norm in zip(params.models, norms, strict=True)]
        )


def _check_stored(model: StoredModel, record: Round) -> None:
    """Raise `NotFound` if the round does not store the model."""
    if model.client == AGGREGATE and record.aggregate is None:
        raise NotFound(f"round {record.number} has no aggregate; name a client of {', '.join(record.by_client)}")
    if model.client != AGGREGATE and model.client not in record.by_client:
        raise unknown(f"client in round {record.number}", model.client, record.by_client)


def _squared_norm(row: FlatView) -> float:
    blocks = (row.read(start, min(start + _BLOCK, row.stop)) for start in range(row.start, row.stop, _BLOCK))
    return sum(map(squared_norm, blocks))
