"""Settings of a baseline, read from an environment that is handed in. Where FLStore has the same, by the same name."""

from collections.abc import Mapping
from dataclasses import dataclass

from flstore_core.storage.network import LOOPBACK, Profile, profile
from flstore_core.units import parse_size


@dataclass(frozen=True)
class Settings:
    """What a baseline needs to know."""

    store: str = ".flstore/baseline"
    """FLSTORE_STORE: URL or directory of the object store."""
    cache_bytes: int = 1 << 30
    """FLSTORE_CACHE_BYTES: memory of the cache; that of all shards together makes a fair comparison."""
    cache_link: Profile = LOOPBACK
    """FLSTORE_CACHE_NETWORK_PROFILE: the link that the cache is to be behind."""
    redis: str = ""
    """FLSTORE_REDIS: host:port of a Redis that is there; one is started if empty."""
    threads: int = 16
    """FLSTORE_THREADS: requests worked on at once."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        return cls(
            store=env.get("FLSTORE_STORE") or cls.store,
            cache_bytes=parse_size(env.get("FLSTORE_CACHE_BYTES") or "1GiB"),
            cache_link=profile(env.get("FLSTORE_CACHE_NETWORK_PROFILE") or "loopback"),
            redis=env.get("FLSTORE_REDIS", ""),
            threads=int(env.get("FLSTORE_THREADS") or 16),
        )
