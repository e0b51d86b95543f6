"""Aggregates as they would be had a client sent nothing, as weighted sums of stored models.

Nothing is trained anew, and no parameter is read here: a counterfactual aggregate is linear in stored models, so its
weights follow from the rounds' records alone.

Example of `replay_without`: rounds 1 and 2 start from aggregates 0 and 1. In both, clients `a`, `b` and `c` send
updates with equal numbers of examples. Without `c`, round 1 ends with the mean of `a` and `b`::

    m1 = 1/2 a1 + 1/2 b1

Round 2 started from aggregate 1, which `a` and `b` alone would have moved by the mean of their deltas. The replay takes
that step from `m1`::

    m2 = m1 + (1/2 a2 + 1/2 b2 - aggregate1)

`calibrate_without` takes FedEraser's step instead (Liu, Ma, Yang, Wang, Liu 2021, FedEraser: Enabling Efficient
Client-Level Data Removal from Federated Learning Models, IWQoS).
"""

from collections.abc import Sequence

from flstore_core.errors import NotEnoughData
from flstore_core.records import Member, Round
from flstore_core.workloads import RoundData
from flstore_core.workloads.shared.weighted_models import (
    ModelSum,
    add,
    aggregate_sum,
    averaged_members,
    base_sum,
    fedavg_sum,
    scale,
)


def replay_without(rounds: Sequence[Round], client: str) -> dict[int, ModelSum]:
    """Return each round's aggregate had `client` sent nothing, by round.

    Each round takes FedAvg's step over the others' stored updates, from the aggregate that the replay has reached. A
    round without the client repeats its own step.

    Args:
        rounds: ascending, from the first the client took part in.
    """
    aggregates: dict[int, ModelSum] = {}
    for record in rounds:
        # A base before the client's first round is unchanged; a later one is the aggregate of the replay.
        start = aggregates.get(record.base, base_sum(record)) if record.base is not None else {}
        aggregates[record.number] = add(start, _step_without(record, client))
    return aggregates


def calibrate_without(pairs: Sequence[tuple[RoundData, RoundData]], client: str) -> ModelSum:
    """Return the model that the others' calibrated updates lead to.

    Each pair is a stored round and a calibration round, which the others trained from the unlearned model. The stored
    round gives the length of a client's update, the calibration round its direction: FedEraser's |U| Û / |Û|.

    Raises:
        NotEnoughData: if no other client of a stored round is in its calibration round.
    """
    total = base_sum(pairs[0][1].record)
    for stored, calibration in pairs:
        total = add(total, _calibrated_step(stored, calibration, client))
    return total


def averaged_without(record: Round, client: str) -> Sequence[Member]:
    """Return the members whose FedAvg a round's replay reaches; none if it has no others or keeps its aggregate.

    A round that the client took no part in keeps its stored aggregate, whichever rule made it.
    """
    others = [member for member in record.members if member.client != client]
    return averaged_members(record) if len(others) == len(record.members) else others


def calibrated_members(stored: Round, calibration: Round, client: str) -> Sequence[Member]:
    """Return the others' updates of a stored round that the calibration round replaces; raise `NotEnoughData`."""
    others = [m for m in stored.members if m.client != client and m.client in calibration.by_client]
    if not others:
        raise NotEnoughData(f"calibration round {calibration.number} has no update of round {stored.number}'s others")
    return others


def _step_without(record: Round, client: str) -> ModelSum:
    """Return the others' step from the round's base; the empty sum if there are no others."""
    if all(member.client == client for member in record.members):
        return {}
    averaged = averaged_without(record, client)
    reached = fedavg_sum(record.number, averaged) if averaged else aggregate_sum(record)
    return add(reached, scale(base_sum(record), -1.0))


def _calibrated_step(stored: RoundData, calibration: RoundData, client: str) -> ModelSum:
    """Return the mean of the others' new deltas by their examples, each in the length of its stored delta."""
    others = calibrated_members(stored.record, calibration.record, client)
    names = [member.client for member in others]
    squares, new_squares = stored.deltas(names).gram.diagonal(), calibration.deltas(names).gram.diagonal()
    weights = fedavg_sum(stored.record.number, others).values()
    step: ModelSum = {}
    for name, weight, square, new_square in zip(names, weights, squares.tolist(), new_squares.tolist(), strict=True):
        factor = weight * (square / new_square) ** 0.5 if new_square > 0 else 0.0
        delta = add({(calibration.record.number, name): 1.0}, scale(base_sum(calibration.record), -1.0))
        step = add(step, scale(delta, factor))
    return step
