"""Settings of a shard, read from an environment that is handed in."""

from collections.abc import Mapping
from dataclasses import dataclass

from flstore_core.ids import ShardId, object_name
from flstore_core.units import parse_size


@dataclass(frozen=True, slots=True)
class Settings:
    """What a shard needs to know."""

    shard: ShardId
    """Its name in the placement table; on Knative the name of its service."""
    store: str
    """URL or directory of the object store."""
    cache_bytes: int = 512 * 2**20
    """Budget of the cache, in bytes; at most 60 % of the memory the process may use."""
    policy: str = "tailored"
    """Caching policy, by name."""
    idle_seconds: float = 0.0
    """Leave after so long without a data request; 0 stays until told to go, as on Knative, whose autoscaler decides."""
    compute_threads: int = 2
    """Requests that compute at once; NumPy lets go of the interpreter while it does."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        name = env.get("FLSTORE_SHARD_ID") or env.get("K_SERVICE") or "shard-0"
        return cls(
            shard=ShardId(object_name("shard", name)),
            store=env.get("FLSTORE_STORE", ".flstore/store"),
            cache_bytes=parse_size(env.get("FLSTORE_CACHE_BYTES", "512MiB")),
            policy=env.get("FLSTORE_POLICY", "tailored"),
            idle_seconds=float(env.get("FLSTORE_IDLE_SECONDS", "0")),
            compute_threads=int(env.get("FLSTORE_COMPUTE_THREADS", "2")),
        )
