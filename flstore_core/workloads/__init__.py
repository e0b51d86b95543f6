"""Workloads: questions about stored rounds, one file each, named after what it answers, with its published source.

The author of a workload imports everything from here, whether the workload is built in or in a user's package;
`docs/workloads.md` tells how to write one. What is behind it:

- `base`, `params`, `results`, `views`, `model_access`: the contract;
- `select`: the usual choices of rounds;
- `registry`: workloads by name, from the `flstore.workloads` entry points; `describe`: their JSON Schemas;
- `methods`: mathematics, which knows no workload; `shared`: what several workloads share and is no method.

Every other file is a workload, which imports no other. A workload knows records, statistics and slices. HTTP,
caches and stores do not belong here.
"""

from flstore_core.patterns import Pattern
from flstore_core.workloads.base import (
    AveragesModels,
    Cost,
    EstimatesCost,
    MetadataOf,
    ModelWorkload,
    Needs,
    Partial,
    ReadsArtifacts,
    ReadsStatistics,
    WeightsWorkload,
    Workload,
    pattern_of,
    reads_vectors,
    wants_statistics,
)
from flstore_core.workloads.model_access import InputSpec, ModelAccess, RunnableModel
from flstore_core.workloads.params import ClientParams, Params, PatternParams, RangeParams, RoundParams
from flstore_core.workloads.results import ArtifactLink, ArtifactWriter, Result, Weighted
from flstore_core.workloads.select import client_history, newest, one_round, round_range
from flstore_core.workloads.views import (
    Context,
    Progress,
    RoundData,
    RoundIndex,
    SliceMember,
    SliceView,
    fedavg_weights,
    no_progress,
    unweighted,
)

__all__ = [
    "ArtifactLink",
    "ArtifactWriter",
    "AveragesModels",
    "ClientParams",
    "Context",
    "Cost",
    "EstimatesCost",
    "InputSpec",
    "MetadataOf",
    "ModelAccess",
    "ModelWorkload",
    "Needs",
    "Params",
    "Partial",
    "Pattern",
    "PatternParams",
    "Progress",
    "RangeParams",
    "ReadsArtifacts",
    "ReadsStatistics",
    "Result",
    "RoundData",
    "RoundIndex",
    "RoundParams",
    "RunnableModel",
    "SliceMember",
    "SliceView",
    "Weighted",
    "WeightsWorkload",
    "Workload",
    "client_history",
    "fedavg_weights",
    "newest",
    "no_progress",
    "one_round",
    "pattern_of",
    "reads_vectors",
    "round_range",
    "unweighted",
    "wants_statistics",
]
