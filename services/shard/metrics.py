"""Every metric of a shard: those of its cache, and how it came up."""

from prometheus_client.registry import CollectorRegistry

from flstore_core.shard.engine import Engine
from services.common import cache_metrics
from services.common.startup import Startup


def registry_of(engine: Engine, startup: Startup, shard: str) -> CollectorRegistry:
    """Return a registry with a shard's metrics alone."""
    registry = cache_metrics.registry_of(engine.inventory, shard)
    registry.register(startup)
    return registry
