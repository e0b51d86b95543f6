"""The sufficient statistics of a round: Gram matrix of its deltas and per-tensor norms.

Here: how a slice's part is worked out (`gram`), and the immutable value that the parts add up to (`round`).
Not here: what workloads conclude from them.
"""

from flstore_core.statistics.gram import border
from flstore_core.statistics.round import RoundStatistics

__all__ = ["RoundStatistics", "border"]
