"""Where shards run: the `Runtime` contract and what implements it. Decides nothing about what they hold."""

from services.placement.runtime.base import Cause, Phase, Runtime, ShardSpec, ShardState, Watcher

__all__ = ["Cause", "Phase", "Runtime", "ShardSpec", "ShardState", "Watcher"]
