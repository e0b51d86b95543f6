"""FLTrust's trust scores: how far each update goes along with one that the server trained itself, on clean data.

Cao et al. 2021, FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping, NDSS (arXiv 2012.13995).
"""

import numpy as np

from flstore_core.workloads.methods.geometry import Float64, cosines


def fltrust(gram: Float64, root: int) -> Float64:
    """Return the positive part of each delta's cosine similarity with the root's, shape (n,).

    Args:
        gram: inner products of deltas, shape (n, n).
        root: row of the update that the server trained.
    """
    return np.asarray(np.maximum(cosines(gram)[root], 0.0))
