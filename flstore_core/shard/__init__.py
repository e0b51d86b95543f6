"""What a shard does with its slices: cache them, build their statistics, run workloads' `map` over them.

Synchronous and free of HTTP; `services.shard` is its thin shell. NumPy is the heaviest import.
"""

from flstore_core.shard.engine import Engine
from flstore_core.shard.protocol import Answer, MapRequest, MemberRef, SliceRef, StatisticsRequest, Work

__all__ = ["Answer", "Engine", "MapRequest", "MemberRef", "SliceRef", "StatisticsRequest", "Work"]
