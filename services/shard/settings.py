"""Settings of a shard, read from an environment that is handed in."""

from collections.abc import Mapping
from dataclasses import dataclass

from flstore_core.ids import ShardId, shard_id
from flstore_core.policies.registry import check_policy
from services.common.settings import Variables, read, seconds, size, whole

NAME = ShardId("shard-0")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a shard needs to know."""

    shard: ShardId = NAME
    """FLSTORE_SHARD_ID or K_SERVICE: its name in the placement table; on Knative the name of its service."""
    store: str = ".flstore/store"
    """FLSTORE_STORE: URL or directory of the object store."""
    cache_bytes: int = 512 * 2**20
    """FLSTORE_CACHE_BYTES: budget of the cache, in bytes; at most 60 % of the memory the process may use."""
    policy: str = "tailored"
    """FLSTORE_POLICY: caching policy, by name."""
    idle_seconds: float = 0.0
    """FLSTORE_IDLE_SECONDS: leave after so long without a data request; 0 stays until told to leave, as on Knative."""
    compute_threads: int = 2
    """FLSTORE_COMPUTE_THREADS: requests that compute at once; NumPy releases the interpreter's lock meanwhile."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Return the settings of an environment; raise `InvalidParameters` naming a variable that does not fit."""
        variables: Variables = {
            "K_SERVICE": ("shard", shard_id),
            "FLSTORE_SHARD_ID": ("shard", shard_id),
            "FLSTORE_STORE": ("store", str),
            "FLSTORE_CACHE_BYTES": ("cache_bytes", size()),
            "FLSTORE_POLICY": ("policy", check_policy),
            "FLSTORE_IDLE_SECONDS": ("idle_seconds", seconds),
            "FLSTORE_COMPUTE_THREADS": ("compute_threads", whole(1, 1000)),
        }
        return cls(**read(env, variables))
