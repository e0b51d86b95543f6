"""Several models at once, each a weighted sum of stored ones, with their distances from others such."""

from collections.abc import Mapping, Sequence

import numpy as np

from flstore_core.ids import ClientId
from flstore_core.workloads import Partial, SliceMember, SliceView
from flstore_core.workloads.methods.coordinatewise import weighted_sums
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.counterfactual import Model, Sum


def members_of(
    outputs: Sequence[Sum], references: Sequence[Sum], num_examples: Mapping[Model, float]
) -> list[SliceMember]:
    """Return the models that sums and those they are compared with are made of; their weights are in that order.

    Args:
        num_examples: of the models that are updates.
    """
    columns = [*outputs, *references]
    models = sorted({model for column in columns for model in column})
    return [
        SliceMember(
            number,
            ClientId(client),
            num_examples.get((number, client), 0.0),
            tuple(c.get((number, client), 0.0) for c in columns),
        )
        for number, client in models
    ]


def map_sums(view: SliceView) -> Partial:
    """Return the slice of each sum, `vector0` and on, and their squared distances from what they are compared with."""
    weights = view.weights
    count = weights.shape[1] // 2
    vectors = weighted_sums(view.rows, weights[:, :count])
    apart = weighted_sums(view.rows, weights[:, :count] - weights[:, count:])
    squares = np.array([squared_norm(difference) for difference in apart])
    return {"apart": squares, **{f"vector{index}": vector for index, vector in enumerate(vectors)}}


def distances(partials: Sequence[Partial]) -> Float64:
    """Return the Euclidean distance of each sum from what it is compared with."""
    return np.asarray(np.sqrt(np.sum([partial["apart"] for partial in partials], axis=0)))


def pieces(partials: Sequence[Partial], index: int) -> list[np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Return a sum's vector, slice after slice."""
    return [partial[f"vector{index}"] for partial in partials]


def squared_norm(values: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    """Return the squared Euclidean norm, in float64."""
    wide = values.astype(np.float64)
    return float(wide @ wide)
