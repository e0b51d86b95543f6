"""Models that are weighted sums of stored models: an algebra of the sums, and all of them computed in one pass.

A `ModelSum` holds the names of stored models and their weights, not their parameters. FedAvg of clients `a`, with 100
examples, and `c`, with 300, in round 7 is `{(7, "a"): 0.25, (7, "c"): 0.75}`. Each shard then reads its slice of every
named model once, and computes its slice of every sum and the sums' distances from reference sums.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from flstore_core.flat import Float32
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Member, Round
from flstore_core.workloads import Partial, SliceMember, SliceView, fedavg_weights
from flstore_core.workloads.methods.coordinatewise import squared_norm, weighted_sums
from flstore_core.workloads.methods.geometry import Float64

ModelKey: TypeAlias = tuple[int, ClientId]
"""A stored model: its round, and its client or `AGGREGATE`."""

ModelSum: TypeAlias = Mapping[ModelKey, float]
"""A weighted sum of stored models."""


def fedavg_sum(number: int, members: Sequence[Member]) -> ModelSum:
    """Return FedAvg of some members of round `number`."""
    weights = fedavg_weights([member.num_examples for member in members]).tolist()
    return {(number, member.client): weight for member, weight in zip(members, weights, strict=True)}


def aggregate_sum(record: Round) -> ModelSum:
    """Return a round's aggregate: the stored one, or FedAvg of its updates if none is stored."""
    return {(record.number, AGGREGATE): 1.0} if record.aggregate else fedavg_sum(record.number, record.members)


def averaged_members(record: Round) -> Sequence[Member]:
    """Return the members whose FedAvg `aggregate_sum` is; none if it is the stored aggregate."""
    return () if record.aggregate else record.members


def base_sum(record: Round) -> ModelSum:
    """Return a round's base; the empty sum, which is zero, if it has none."""
    return {} if record.base is None else {(record.base, AGGREGATE): 1.0}


def add(one: ModelSum, other: ModelSum) -> ModelSum:
    """Return the sum of two sums, without models whose weights cancel."""
    total = dict(one)
    for model, weight in other.items():
        total[model] = total.get(model, 0.0) + weight
    return {model: weight for model, weight in total.items() if weight}


def scale(total: ModelSum, factor: float) -> ModelSum:
    """Return a sum times a factor."""
    return {model: factor * weight for model, weight in total.items()}


def members_of_sums(
    outputs: Sequence[ModelSum], references: Sequence[ModelSum], num_examples: Mapping[ModelKey, float]
) -> list[SliceMember]:
    """Return every model that the sums name, with its weight in each output and then in each reference.

    Args:
        outputs: the sums to compute.
        references: the sum that each output's distance is taken from, in the same order.
        num_examples: number of examples of each model that is an update.
    """
    columns = [*outputs, *references]
    models = sorted({model for column in columns for model in column})
    return [
        SliceMember(*model, num_examples.get(model, 0.0), tuple(column.get(model, 0.0) for column in columns))
        for model in models
    ]


def map_sums(view: SliceView) -> Partial:
    """Return the slice of each output, as `vector0` and on, and its squared distance from its reference, as `apart`."""
    weights = view.weights
    count = weights.shape[1] // 2  # the first half of the columns are outputs, the other half their references
    vectors = weighted_sums(view.rows, weights[:, :count])
    # A difference of two sums is a sum with the difference of their weights. Where both have the same weight for a
    # model, it is left out exactly, so that no digits cancel.
    differences = weighted_sums(view.rows, weights[:, :count] - weights[:, count:])
    squares = np.array([squared_norm(difference) for difference in differences])
    return {"apart": squares, **{f"vector{index}": vector for index, vector in enumerate(vectors)}}


def distances(partials: Sequence[Partial]) -> Float64:
    """Return each output's Euclidean distance from its reference, shape (outputs,)."""
    return np.asarray(np.sqrt(np.sum([partial["apart"] for partial in partials], axis=0)))


def vector_pieces(partials: Sequence[Partial], index: int) -> list[Float32]:
    """Return an output's flat vector, slice after slice."""
    return [partial[f"vector{index}"] for partial in partials]
