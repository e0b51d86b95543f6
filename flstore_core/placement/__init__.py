"""Where slices live: facts about jobs and shards in, a plan out.

Here belongs every decision about which shard holds what, as pure functions: nothing reads a store, starts a shard or
sends anything. Observing and acting belong in `services.placement`; how a slice is cut from a model belongs in
`flstore_core.schema`.
"""

from flstore_core.placement.base import Assignment, Observed, Plan, Shard, Table
from flstore_core.placement.planner import Planner, plan, shards_needed

__all__ = ["Assignment", "Observed", "Plan", "Planner", "Shard", "Table", "plan", "shards_needed"]
