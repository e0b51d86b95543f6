"""Where shards run: the `Runtime` contract and what implements it. Decides nothing about what they hold."""

from services.placement.runtime.base import Cause, Kind, Phase, Runtime, ShardSpec, ShardState, Watcher

__all__ = ["Cause", "Kind", "Phase", "Runtime", "ShardSpec", "ShardState", "Watcher"]
