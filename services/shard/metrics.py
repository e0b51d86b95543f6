"""Every metric of a shard: those of its cache, and how long it took to start."""

from prometheus_client.registry import CollectorRegistry

from flstore_core.shard.engine import Engine
from services.common import cache_metrics
from services.common.startup import Startup


def registry_of(engine: Engine, startup: Startup, shard: str) -> CollectorRegistry:
    """Return a registry that holds a shard's metrics and no others."""
    registry = cache_metrics.registry_of(engine.inventory, shard)
    registry.register(startup)
    return registry
