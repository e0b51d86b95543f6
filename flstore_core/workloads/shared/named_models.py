"""The usual ways to choose which models a workload runs: one, or those of a round."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from flstore_core.errors import NotEnoughData, NotFound
from flstore_core.ids import AGGREGATE
from flstore_core.model_names import ModelName
from flstore_core.workloads import Params, RoundData, RoundIndex, newest


def rounds_of_models(names: Sequence[ModelName], index: RoundIndex) -> list[int]:
    """Return the rounds of the named models, ascending; raise `NotFound` for one without any update."""
    numbers = sorted({name.round for name in names if not name.artifact})
    for number in numbers:
        if number not in index.committed and number not in index.open:
            raise NotFound(f"round {number} has no updates")
    return numbers


@dataclass(frozen=True, kw_only=True)
class OneModelParams(Params):
    """Which model is run."""

    model: str | None = None
    """`12` (an aggregate), `12:client-7` (an update), `artifact:ID`; the newest aggregate by default."""
    scale: Annotated[float, Ge(-1e6), Le(1e6)] = 1.0
    """Factor of low-rank adapters (alpha over rank), if the job stores any."""


class RunsOneModel:
    """The `select` and `models` of a workload that runs one model."""

    def select(self, params: OneModelParams, index: RoundIndex) -> Sequence[int]:
        """Return the round of the model named, or the newest committed one."""
        return [newest(index)] if params.model is None else rounds_of_models([ModelName.parse(params.model)], index)

    def models(self, rounds: Sequence[RoundData], params: OneModelParams) -> Sequence[ModelName]:
        """Return the model named, or the aggregate of the only round."""
        if params.model is not None:
            return [ModelName.parse(params.model)]
        (data,) = rounds
        if data.record.aggregate is None:
            raise NotEnoughData(f"round {data.record.number} has no aggregate; name a client's model")
        return [ModelName(data.record.number)]


def update_names(data: RoundData, clients: Sequence[str] | None) -> list[ModelName]:
    """Return the names of the given clients' models of a round, or of all clients'."""
    return [ModelName(data.record.number, member.client) for member in data.members(clients)]


def aggregate_names(data: RoundData) -> list[ModelName]:
    """Return the name of a round's aggregate, or none if it is not stored."""
    return [ModelName(data.record.number, AGGREGATE)] if data.record.aggregate else []
