"""Aggregates as they would be without a client, as sums of stored models, so that no order of work can matter.

`replayed` adds up the others' stored updates round by round; `calibrated` is FedEraser's step (Liu, Ma, Yang, Wang, Liu
2021, FedEraser: Enabling Efficient Client-Level Data Removal from Federated Learning Models, IWQoS).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from flstore_core.errors import NotEnoughData
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Member, Round
from flstore_core.workloads import RoundData, fedavg_weights

Model: TypeAlias = tuple[int, ClientId]
Sum: TypeAlias = Mapping[Model, float]
"""A weighted sum of stored models."""


def replayed(rounds: Sequence[Round], client: str) -> dict[int, Sum]:
    """Return each round's aggregate had `client` sent nothing, by round.

    Each round takes FedAvg's step over the others' stored updates, from where the replay has come to; a round without
    the client takes the step that it took.

    Args:
        rounds: ascending, from the first the client took part in.
    """
    found: dict[int, Sum] = {}
    for record in rounds:
        start = found.get(record.base, _base(record)) if record.base is not None else {}
        found[record.number] = added(start, _step(record, client))
    return found


def calibrated(pairs: Sequence[tuple[RoundData, RoundData]], client: str) -> Sum:
    """Return the model to which the others' calibrated updates lead.

    Of each pair, the stored round tells how far a client's update reached, and the calibration round, which the others
    trained from the unlearned model, in which direction it now points: FedEraser's |U| Û / |Û|.

    Raises:
        NotEnoughData: if no other client of a stored round is in its calibration round.
    """
    total = _base(pairs[0][1].record)
    for stored, calibration in pairs:
        total = added(total, _calibrated_step(stored, calibration, client))
    return total


def original(record: Round) -> Sum:
    """Return a round's aggregate: as it was stored, or by FedAvg."""
    return {(record.number, AGGREGATE): 1.0} if record.aggregate else fedavg(record.number, record.members)


def fedavg(number: int, members: Sequence[Member]) -> Sum:
    """Return FedAvg of some members of a round."""
    weights = fedavg_weights([member.num_examples for member in members]).tolist()
    return {(number, member.client): weight for member, weight in zip(members, weights, strict=True)}


def added(one: Sum, other: Sum) -> Sum:
    """Return the sum of two sums, without what cancels."""
    total = Counter(dict(one))
    for model, weight in other.items():
        total[model] += weight  # type: ignore[assignment]
    return {model: weight for model, weight in total.items() if weight}


def _step(record: Round, client: str) -> Sum:
    others = [member for member in record.members if member.client != client]
    if not others:
        return {}
    applied = original(record) if len(others) == len(record.members) else fedavg(record.number, others)
    return added(applied, _scaled(_base(record), -1.0))


def _calibrated_step(stored: RoundData, calibration: RoundData, client: str) -> Sum:
    present = calibration.record.by_client
    others = [m for m in stored.record.members if m.client != client and m.client in present]
    if not others:
        raise NotEnoughData(
            f"calibration round {calibration.record.number} has no update of round {stored.record.number}'s others"
        )
    names = [member.client for member in others]
    reach, now = stored.deltas(names).gram.diagonal(), calibration.deltas(names).gram.diagonal()
    step: Sum = {}
    for (_, name), weight, squared, present_squared in zip(
        fedavg(0, others), fedavg(0, others).values(), reach.tolist(), now.tolist(), strict=True
    ):
        scale = weight * (squared / present_squared) ** 0.5 if present_squared > 0 else 0.0
        delta = added({(calibration.record.number, name): 1.0}, _scaled(_base(calibration.record), -1.0))
        step = added(step, _scaled(delta, scale))
    return step


def _base(record: Round) -> Sum:
    return {} if record.base is None else {(record.base, AGGREGATE): 1.0}


def _scaled(total: Sum, factor: float) -> Sum:
    return {model: factor * weight for model, weight in total.items()}
