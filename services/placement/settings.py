"""Settings of the placement controller, read from an environment that is handed in."""

from collections.abc import Mapping
from dataclasses import dataclass

from flstore_core.errors import InvalidParameters
from flstore_core.ids import ShardId
from flstore_core.units import parse_size
from services.placement.runtime import ShardSpec


@dataclass(frozen=True, slots=True)
class Settings:
    """What the controller needs to know."""

    store: str = ".flstore/store"
    """FLSTORE_STORE: URL or directory of the object store."""
    shards: int = 2
    """FLSTORE_SHARDS: how many shards there are to be."""
    cache_bytes: int = 512 << 20
    """FLSTORE_CACHE_BYTES: budget of each shard's cache, in bytes or as `512MiB`."""
    policy: str = "tailored"
    """FLSTORE_POLICY: caching policy of the shards, by name."""
    idle_s: float = 60.0
    """FLSTORE_IDLE_SECONDS: seconds without a data request after which a shard goes to zero; 0 for never."""
    resync_s: float = 60.0
    """FLSTORE_RESYNC_SECONDS: seconds between looks at the store for jobs that nobody announced."""

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= 1000:
            raise InvalidParameters(f"FLSTORE_SHARDS is {self.shards}; use 1 to 1000")
        if self.cache_bytes < 1:
            raise InvalidParameters(f"FLSTORE_CACHE_BYTES is {self.cache_bytes}; use at least 1")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Raises `InvalidParameters` for what is no number or out of range."""
        return cls(
            store=env.get("FLSTORE_STORE") or ".flstore/store",
            shards=int(_number(env, "FLSTORE_SHARDS", 2)),
            cache_bytes=parse_size(env.get("FLSTORE_CACHE_BYTES") or "512MiB"),
            policy=env.get("FLSTORE_POLICY") or "tailored",
            idle_s=_number(env, "FLSTORE_IDLE_SECONDS", 60.0),
            resync_s=_number(env, "FLSTORE_RESYNC_SECONDS", 60.0),
        )

    def specs(self) -> tuple[ShardSpec, ...]:
        """Return the shards there are to be: `shard-0`, `shard-1`, …"""
        names = (ShardId(f"shard-{index}") for index in range(self.shards))
        return tuple(ShardSpec(name, self.cache_bytes, self.policy, self.idle_s) for name in names)


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidParameters(f"{name} is {text!r}; use a number") from error
    if not 0 <= value < float("inf"):
        raise InvalidParameters(f"{name} is {text!r}; use a number that is not negative")
    return value
