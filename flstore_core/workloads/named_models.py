"""The usual ways to choose which models a workload runs: one, or those of a round."""

from collections.abc import Sequence

from flstore_core.errors import NotEnoughData, NotFound
from flstore_core.ids import AGGREGATE
from flstore_core.model_names import ModelName
from flstore_core.workloads.base import RoundData, RoundIndex
from flstore_core.workloads.select import newest


def rounds_of(names: Sequence[ModelName], index: RoundIndex) -> list[int]:
    """Return the rounds of the named models, ascending; raise `NotFound` for one without any update."""
    wanted = sorted({name.round for name in names if not name.artifact})
    for number in wanted:
        if number not in index.committed and number not in index.open:
            raise NotFound(f"round {number} has no updates")
    return wanted


def one_model(model: str | None, index: RoundIndex) -> list[int]:
    """Return the round of the model named, or the newest committed one."""
    return [newest(index)] if model is None else rounds_of([ModelName.parse(model)], index)


def the_model(model: str | None, rounds: Sequence[RoundData]) -> ModelName:
    """Return the model named, or the aggregate of the only round."""
    if model is not None:
        return ModelName.parse(model)
    if rounds[-1].record.aggregate is None:
        raise NotEnoughData(f"round {rounds[-1].record.number} has no aggregate; name a client's model")
    return ModelName(rounds[-1].record.number)


def updates(data: RoundData, clients: Sequence[str] | None) -> list[ModelName]:
    """Return the named clients' models of a round, or all clients'."""
    return [ModelName(data.record.number, member.client) for member in data.members(clients)]


def aggregate(data: RoundData) -> list[ModelName]:
    """Return a round's aggregate, if it is stored."""
    return [ModelName(data.record.number, AGGREGATE)] if data.record.aggregate else []
