"""The four ways in which non-training workloads read FL data (FLStore, arXiv 2503.00323, table 1)."""

from enum import StrEnum


class Pattern(StrEnum):
    """Access pattern of a workload."""

    P1 = "P1"
    """One model: an aggregate or one client's update."""

    P2 = "P2"
    """All updates of one round."""

    P3 = "P3"
    """One client's updates across rounds."""

    P4 = "P4"
    """Metadata and statistics of recent rounds."""
