"""Where slices live: facts about jobs and shards in, a plan out.

Pure: nothing here reads a store, starts a shard or sends anything. The placement service observes and acts.
"""

from flstore_core.placement.base import Assignment, Observed, Plan, Shard, Table
from flstore_core.placement.capacity import shards_needed
from flstore_core.placement.planner import Planner, plan

__all__ = ["Assignment", "Observed", "Plan", "Planner", "Shard", "Table", "plan", "shards_needed"]
