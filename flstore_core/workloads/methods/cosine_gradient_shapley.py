"""The coalition game of a round's direction: a coalition is worth the cosine similarity of its delta with everybody's.

Xu et al. 2021, Gradient-Driven Rewards to Guarantee Fairness in Collaborative Machine Learning (NeurIPS), whose
Shapley values are "cosine gradient Shapley values".
"""

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64, inverse
from flstore_core.workloads.methods.shapley import Utility


def agreement(gram: Float64, weights: Float64) -> Utility:
    """Return the worth of coalitions: cosine similarity of their FedAvg delta with everybody's; 0 for a zero delta."""
    whole = weights @ gram @ weights

    def utility(members: NDArray[np.bool_]) -> Float64:
        parts = members * weights
        products = parts @ gram
        squares = np.maximum((products * parts).sum(axis=1), 0.0)
        # Members that cancel leave a delta of rounding errors, with an arbitrary direction. Its length counts as at
        # least a millionth of everybody's, so that the worth is near 0 then.
        floor = 1e-12 * whole * (squares > 0)
        return np.asarray(products @ weights * inverse(np.sqrt(np.maximum(squares, floor) * max(whole, 0.0))))

    return utility


def projections(gram: Float64, weights: Float64) -> Float64:
    """Return each client's weighted projection on everybody's delta, as a share of their sum, shape (n,).

    They are the Shapley values in closed form when a coalition is worth its delta's projection on everybody's: that
    worth is a sum over members, and in such a game everyone's value is their own part. Zeros where the sum is not
    positive.
    """
    along = gram @ weights * weights
    return np.asarray(along / along.sum() if along.sum() > 0 else np.zeros(len(along)))
