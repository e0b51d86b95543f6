"""The sufficient statistics of a round: Gram matrix of its deltas and per-tensor norms.

Here belongs how a slice's part is computed (`gram`), and the immutable value that the parts add up to (`round`). What
workloads conclude from it does not: that is mathematics in `flstore_core.workloads.methods`.
"""

from flstore_core.statistics.gram import border
from flstore_core.statistics.round import MOST_EXACT, RoundStatistics

__all__ = ["MOST_EXACT", "RoundStatistics", "border"]
